"""Owners as issuers may name them, and pairs of owners that a careless key would confuse."""

from __future__ import annotations

from hypothesis import strategies as st

ISSUED = (
    "8f14e45f-ceea-467a-9575-1f2d3c4b5a69",
    "auth0|42",
    "https://id.example.com/users#42",
    "repo:example-organization/example-repository:ref:refs/heads/main#job_workflow_ref:release.yml@v1",
    "system:serviceaccount:default:runner",
    "CN=Alice Example,OU=People/Admins",
    "..",
    "a\tb\x00\x7f",
)
LONGEST = ("x" * 255, "#" * 255, "/" * 255, "\x00" * 255)
ALL = (*ISSUED, *LONGEST)
NOT_OWNERS = ("", "x" * 256, "#" * 256, "ü", "a\u266fb", "日本", "\ud800")

_SEPARATORS = "#/|%.\u0000 "
OWNERS = st.text(st.characters(max_codepoint=0x7F), min_size=1, max_size=255) | st.text(
    f"ab{_SEPARATORS}", min_size=1, max_size=9
)


def label(owner: str) -> str:
    """Return the owner as the name of a test's case."""
    return ascii(owner[:16])


@st.composite
def two_owners(draw: st.DrawFn) -> tuple[str, str]:
    """Draw two owners. Mostly, the second one begins with the first one."""
    first = draw(OWNERS.filter(lambda owner: len(owner) < 200))
    ends = ["#", "/", "%23", "%2F", "%2f", "/uploads", "#1", "#" + "0" * 64, "#00000000-0000-4000-8000-000000000000", "."]
    second = first + draw(st.sampled_from(ends)) if draw(st.integers(0, 3)) else draw(OWNERS)
    if draw(st.booleans()):
        second = second.replace("#", draw(st.sampled_from(["%23", "/", "|"])))
    return first, second if second != first else f"{first}#"
