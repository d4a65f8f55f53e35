"""The page on which a person enters a device code: plain HTML, nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from arcbed_cloud.services.entra.directory import Principal
from arcbed_cloud.services.entra.grants import DeviceCode

STYLE = """
:root { color-scheme: light dark;
  --ink: #1b1a19; --paper: #fff; --edge: #c8c6c4; --accent: #0f6cbd; --soft: #f3f2f1 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f3f2f1; --paper: #252423; --edge: #605e5c; --accent: #62abf5; --soft: #1b1a19 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: var(--soft); color: var(--ink); font: 16px/1.5 "Segoe UI", system-ui, sans-serif }
main { width: min(26rem, 92vw); background: var(--paper); border: 1px solid var(--edge);
  border-radius: 8px; padding: 2rem }
h1 { font-size: 1.4rem; margin: 0 0 .5rem }
label, legend { display: block; font-weight: 600; margin: 1rem 0 .3rem; padding: 0 }
input[type=text] { width: 100%; font: 1.3rem/1.6 ui-monospace, monospace; letter-spacing: .15em;
  padding: .3rem .6rem; text-transform: uppercase; border: 1px solid var(--edge); border-radius: 4px;
  background: none; color: inherit }
fieldset { border: 0; margin: 1rem 0 0; padding: 0 }
.who { display: flex; gap: .6rem; align-items: center; font-weight: 400; margin: .3rem 0;
  padding: .5rem .7rem; border: 1px solid var(--edge); border-radius: 4px }
.who small { display: block; opacity: .75 }
button { font: inherit; padding: .45rem 1.2rem; border-radius: 4px; border: 1px solid var(--edge);
  cursor: pointer; background: none; color: inherit; margin: 1.4rem .6rem 0 0 }
button.go { background: var(--accent); border-color: var(--accent); color: var(--paper); font-weight: 600 }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.bad { border-left: 4px solid #c50f1f; padding: .4rem .8rem; margin: 1rem 0 0 }
footer { margin-top: 1.6rem; font-size: .85rem; opacity: .75 }
"""


def entry(people: Sequence[Principal], *, code: str = "", problem: str = "") -> str:
    """The form: the code, and who signs in."""
    choices = "".join(
        f'<label class="who"><input type="radio" name="user" value="{escape(person.object_id)}"'
        f"{' checked' if index == 0 else ''}><span>{escape(person.name)}"
        f"<small>{escape(person.user_principal_name)}</small></span></label>"
        for index, person in enumerate(people)
    )
    note = f'<p class="bad" role="alert">{escape(problem)}</p>' if problem else ""
    return _page(
        "Enter code",
        f"""<h1>Enter code</h1>
<p>Type the code that your app or device shows, and choose who signs in.</p>{note}
<form method="post" action="devicelogin">
<label for="code">Code</label>
<input type="text" id="code" name="code" value="{escape(code)}" maxlength="20" autocomplete="off"
 spellcheck="false" required autofocus>
<fieldset><legend>Sign in as</legend>{choices}</fieldset>
<button class="go" name="answer" value="approve">Continue</button>
<button name="answer" value="deny" formnovalidate>Decline</button>
</form>""",
    )


def done(code: DeviceCode, person: Principal | None) -> str:
    """After the answer: what has happened, and that the window may be closed."""
    if person is None:
        return _page(
            "Declined",
            f"<h1>Declined</h1><p>The code {escape(code.user_code)} was declined. "
            "The app will say that it could not sign in.</p>",
        )
    return _page(
        "Signed in",
        f"<h1>You are signed in</h1><p>{escape(person.name)} is signed in on the device. You may close this "
        "window.</p>",
    )


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><main>{body}<footer>arcbed testbed. No password is asked for, and none should be typed
here.</footer></main></body> </html>
"""
