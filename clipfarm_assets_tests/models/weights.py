"""Small random models of the real classes, saved as the hub has them, and a hub on loopback that serves them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clipfarm_assets.models.lock import overlay_path, read_lock, write_lock_file
from clipfarm_assets.models.places import model_folder
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import content_sha256

VIDEO, AUDIO = "MCG-NJU/videomae-base", "facebook/wav2vec2-base-960h"


def save_video(folder: Path) -> None:
    """A VideoMAE checkpoint as published: with a decoder, and with biases under their old names."""
    import torch
    from safetensors.torch import save_file
    from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEImageProcessorPil

    config = VideoMAEConfig(
        image_size=224, patch_size=32, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        decoder_num_hidden_layers=1, decoder_hidden_size=16, decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = VideoMAEForPreTraining(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
    state = {
        name.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): tensor.clone()
        for name, tensor in model.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    VideoMAEImageProcessorPil().save_pretrained(folder)


def save_audio(folder: Path, norm: str = "group") -> None:
    """A wav2vec2 checkpoint as published: with a CTC head and a vocabulary."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    config = Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=[8] * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, vocab_size=32, feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        Wav2Vec2ForCTC(config).save_pretrained(folder)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    (folder / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")
    Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)


def fill_model_folder(settings: Settings) -> None:
    """Both default models, under their names."""
    save_video(model_folder(VIDEO, settings))
    save_audio(model_folder(AUDIO, settings))


def lock_weights(settings: Settings, name: str, sha256: str | None = None) -> None:
    """Locks the hash of a model's weight file as it lies, or as given."""
    from dataclasses import replace

    entry = read_lock(settings.model_dir)[name]
    found = content_sha256(model_folder(name, settings) / "model.safetensors")
    locked = replace(entry, files={**entry.files, "model.safetensors": sha256 or found})
    path = overlay_path(settings.model_dir)
    write_lock_file(path, {name: locked})


@contextmanager
def hub(models: dict[tuple[str, str], Path]) -> Iterator[str]:
    """A model hub on loopback that has these (name, revision) with the files of a folder; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, with_body: bool) -> None:
            path = self.path.split("?")[0]
            for (name, revision), folder in models.items():
                if path.startswith(f"/api/models/{name}"):
                    body = self._api(path, name, revision, folder)
                    return self._send(200, body, {"Content-Type": "application/json"}, with_body)
                prefix = f"/{name}/resolve/{revision}/"
                file = folder / path.removeprefix(prefix)
                if path.startswith(prefix) and file.is_file():
                    headers = {"X-Repo-Commit": revision, "ETag": f'"{content_sha256(file)}"'}
                    return self._send(200, file.read_bytes(), headers, with_body)
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"}, with_body)

        def _api(self, path: str, name: str, revision: str, folder: Path) -> bytes:
            files = [file for file in sorted(folder.iterdir()) if file.is_file()]
            if "/tree/" in path:
                tree = [
                    {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": content_sha256(f)[:40]}
                    for f in files
                ]
                return json.dumps(tree).encode()
            siblings = [{"rfilename": file.name} for file in files]
            return json.dumps({"id": name, "modelId": name, "sha": revision, "siblings": siblings, "tags": []}).encode()

        def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
