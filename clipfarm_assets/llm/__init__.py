"""A language model behind the OpenAI Responses API, or none: nothing is sent anywhere unless it is configured."""
