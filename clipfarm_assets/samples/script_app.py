"""Sessions with Ledgerly, an invented bookkeeping app: two failures alike, one confusion, one that goes well."""

from fractions import Fraction
from typing import Final

from clipfarm_assets.samples.model import Line, Listing, Sample, Shot, Voice


def _user(*texts: str) -> tuple[Line, ...]:
    return tuple(Line("user", text) for text in texts)


EXPORT_ERROR: Final = Sample(
    "app-export-error",
    (640, 360),
    Fraction(25),
    (
        Shot(
            "app",
            {
                "account": "dana@northwind.example",
                "tab": "Reports",
                "title": "Quarterly report",
                "rows": ("Period: October to December", "Format: PDF", "Include: all invoices"),
                "button": "Export",
            },
            _user(
                "I want to export the quarterly report as a PDF for my accountant.",
                "The period is right, all invoices are included, so I click export.",
            ),
        ),
        Shot(
            "app",
            {
                "account": "dana@northwind.example",
                "tab": "Reports",
                "title": "Exporting",
                "theme": "dark",
                "progress_to": "87",
            },
            _user("It is working. Eighty percent, eighty seven, and now it just sits there."),
            1.0,
        ),
        Shot(
            "app",
            {
                "account": "dana@northwind.example",
                "tab": "Reports",
                "title": "Export failed",
                "theme": "alarm",
                "message": "Export failed. Error E-417. Try again later.",
                "action": "Try again",
            },
            _user(
                "Export failed, error four one seven. It does not say what I did wrong.",
                "I try again, and I get the same error. Third time, the same error.",
            ),
        ),
        Shot(
            "app",
            {
                "account": "dana@northwind.example",
                "tab": "Home",
                "title": "Help centre",
                "theme": "help",
                "rows": ("Search: error E-417", "Results: 0 articles"),
                "button": "Contact us",
            },
            _user("The help centre has no article about it. I give up and send screenshots instead."),
            1.0,
        ),
    ),
    {"user": Voice("en-us+f5", 160, 52)},
    Listing(
        "Session 2041: quarterly report export",
        "Screen recording. The PDF export of a report fails three times.",
        "ledgerly session",
        "Ledgerly research",
        "dana",
        "session replay;export;error;reports",
        "2026-01-13T10:02:00Z",
        38,
        5,
        (1, 3, 8),
        user_id="u-dana",
        team="app-research",
        video_type="session_replay",
        like_rate=0.0,
    ),
)

EXPORT_ERROR_2: Final = Sample(
    "app-export-error-2",
    (640, 400),
    Fraction(25),
    (
        Shot(
            "app",
            {
                "account": "marcus@bluefin.example",
                "tab": "Reports",
                "title": "Year-end summary",
                "theme": "amber",
                "rows": ("Period: January to December", "Format: PDF", "Language: English"),
                "button": "Download PDF",
            },
            _user("My boss needs the year end summary, so I download it as a PDF."),
        ),
        Shot(
            "app",
            {
                "account": "marcus@bluefin.example",
                "tab": "Reports",
                "title": "Preparing your file",
                "theme": "dark",
                "progress_to": "64",
            },
            _user("The bar stops before the end every single time."),
            1.2,
        ),
        Shot(
            "app",
            {
                "account": "marcus@bluefin.example",
                "tab": "Reports",
                "title": "Something went wrong",
                "theme": "alarm",
                "message": "The report could not be exported (E-417).",
            },
            _user(
                "And there it is again. The report could not be exported. Code four seventeen.",
                "I cannot get the report out at all. I am closing this.",
            ),
        ),
    ),
    {"user": Voice("en-gb+m2", 155, 40)},
    Listing(
        "Session 2077: year-end summary",
        "Screen recording. Downloading the summary as PDF ends in error E-417.",
        "ledgerly session",
        "Ledgerly research",
        "marcus",
        "session replay;export;error;pdf",
        "2026-01-16T14:41:00Z",
        21,
        4,
        (1, 4, 9),
        user_id="u-marcus",
        team="app-research",
        video_type="session_replay",
        like_rate=0.0,
    ),
)

LOGIN_CONFUSION: Final = Sample(
    "app-login-confusion",
    (360, 640),
    Fraction(30),
    (
        Shot(
            "app",
            {
                "account": "signed out",
                "title": "Welcome back",
                "theme": "violet",
                "rows": ("Email: priya@kestrel.example", "Password: ********"),
                "button": "Continue",
            },
            _user("I type my email and my password, and I press continue."),
        ),
        Shot(
            "app",
            {
                "account": "signed out",
                "title": "Enter the code",
                "rows": ("Code:",),
                "button": "Verify",
                "message": "We sent a code to your other device.",
                "sign": "?",
                "message_at": "1.5",
            },
            _user(
                "It wants a code from my other device. Which other device? I only have this phone.",
                "I am not sure where to look. Is it in my email? Is it a text message?",
            ),
        ),
        Shot(
            "app",
            {
                "account": "signed out",
                "title": "Choose a method",
                "theme": "amber",
                "rows": ("Option 1: Passkey", "Option 2: Authenticator", "Option 3: Recovery key"),
                "button": "Back",
            },
            _user("Now there are three options and I do not know what any of these words mean. I go back."),
        ),
        Shot(
            "app",
            {
                "account": "priya@kestrel.example",
                "title": "You are in",
                "theme": "success",
                "rows": ("Method: text message",),
                "message": "Signed in. Welcome, Priya.",
                "sign": "i",
            },
            _user("Oh, the text message was hidden under more options. Fine, I am in, but that was confusing."),
            1.0,
        ),
    ),
    {"user": Voice("en-gb+f1", 165, 58)},
    Listing(
        "Session 2090: signing in on a new phone",
        "Screen recording. The user cannot tell where the code was sent.",
        "ledgerly session",
        "Ledgerly research",
        "priya",
        "session replay;login;confusion;mobile",
        "2026-01-17T08:15:00Z",
        17,
        4,
        (0.5, 2, 6),
        user_id="u-priya",
        team="app-research",
        video_type="session_replay",
        like_rate=0.0,
    ),
    variable_rate=True,
)

UPLOAD_OK: Final = Sample(
    "app-upload-ok",
    (640, 360),
    Fraction(25),
    (
        Shot(
            "app",
            {
                "account": "jonas@elmtree.example",
                "tab": "Files",
                "title": "Upload receipts",
                "rows": ("Folder: January receipts", "Files: 12 photos"),
                "button": "Upload",
            },
            _user("I drag twelve photos of receipts into the January folder and start the upload."),
        ),
        Shot(
            "app",
            {
                "account": "jonas@elmtree.example",
                "tab": "Files",
                "title": "Uploading",
                "theme": "dark",
                "progress_to": "100",
            },
            _user("All twelve are there in a few seconds. Nice and quick."),
            0.8,
        ),
        Shot(
            "app",
            {
                "account": "jonas@elmtree.example",
                "tab": "Invoices",
                "title": "Matched",
                "theme": "success",
                "rows": ("Matched: 12 of 12", "Total: $500.40"),
                "message": "12 receipts matched. No errors.",
                "sign": "i",
                "message_at": "3",
            },
            _user(
                "It even read the amounts and matched them with my invoices. Twelve of twelve, no errors.",
                "That used to take me a whole evening.",
            ),
            1.0,
        ),
    ),
    {"user": Voice("en-us+m6", 168, 47)},
    Listing(
        "Session 2102: uploading receipts",
        "Screen recording. Twelve receipts are uploaded and matched at once.",
        "ledgerly session",
        "Ledgerly research",
        "jonas",
        "session replay;upload;receipts;success",
        "2026-01-18T16:30:00Z",
        12,
        3,
        (0.5, 2, 5),
        user_id="u-jonas",
        team="app-research",
        video_type="session_replay",
        like_rate=0.0,
    ),
)

BROKEN: Final = Sample(
    "broken-upload",
    (640, 360),
    Fraction(25),
    (),
    {},
    Listing(
        "Session 2055: upload that broke off",
        "The recorder lost its connection; the file ends before its index.",
        "ledgerly session",
        "Ledgerly research",
        "dana",
        "session replay;upload",
        "2026-01-15T09:00:00Z",
        4,
        3,
        (0.5, 2, 6),
        user_id="u-dana",
        team="app-research",
        video_type="session_replay",
        like_rate=0.0,
    ),
    sidecar=None,
    broken_seconds=31.0,
)
