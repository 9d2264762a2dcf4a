"""What the documents say of the tree is so: paths, decisions, versions."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

DECISIONS = sorted((ROOT / "ops" / "decisions").glob("[0-9]*.md"))
_SECTIONS = ["Context", "Decision", "Consequences", "What would change our mind"]
_STATUS = re.compile(
    r"- Status: ((?:accepted|superseded by)[^\n]*)\n- Date: \d{4}-\d\d-\d\d[^\n]*\n\n"
)
_CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

#: Documents that name files, for people who go and look.
DOCUMENTS = [
    path
    for path in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / ".github").rglob("*.md"),
        ROOT / "tests" / "README.md",
        *(ROOT / "ops").rglob("*.md"),
        *(ROOT / "gateway").rglob("*.md"),
    ]
    if path.exists()
]
#: A newcomer reads the README in five minutes; everything else is in the guides.
README_WORDS_MAX = 900
GUIDES = ROOT / "ops" / "guides"
_TREES = ("gateway", "workers", "ops", "loadtest", "tests", ".github", ".ci")
_PATH = re.compile(rf"`((?:{'|'.join(map(re.escape, _TREES))})/[^\s`]*)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
#: What a path is written with where it stands for several.
_PLACEHOLDER = re.compile(r"NAME|NNNN[-_]\w+|<\w+>|\{\w+\}")


def text(path: Path) -> str:
    return path.read_text("utf-8")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_path_that_is_named_exists(document: Path) -> None:
    named = {(ROOT, path) for path in _PATH.findall(text(document))}
    named |= {
        (document.parent, link)
        for link in _LINK.findall(text(document))
        if not re.match(r"[a-z]+:", link)
    }
    missing = [path for base, path in sorted(named) if not _exists(base, path)]
    assert not missing, f"{name(document)} names what is not there: {', '.join(missing)}"


def _exists(base: Path, path: str) -> bool:
    pattern = _PLACEHOLDER.sub("*", path.rstrip("/"))
    return any(base.glob(pattern)) if "*" in pattern else (base / pattern).exists()


def test_a_path_that_is_not_there_is_seen() -> None:
    assert not _exists(ROOT, "gateway/nowhere.py")
    assert not _exists(ROOT, "gateway/providers/<name>.txt")
    assert _exists(ROOT, "gateway/providers/NAME.py")


def test_the_readme_is_read_in_five_minutes() -> None:
    words = len(text(ROOT / "README.md").split())
    assert words <= README_WORDS_MAX, f"README.md has {words} words: move what is new to a guide"


def test_the_index_of_the_guides_leads_to_every_page() -> None:
    index = text(GUIDES / "index.md")
    pages = {str(page.relative_to(GUIDES)) for page in GUIDES.rglob("*.md")} - {"index.md"}
    missing = sorted(pages - set(_LINK.findall(index)))
    assert not missing, f"ops/guides/index.md does not link {', '.join(missing)}"


def test_the_pictures_of_the_guides_have_a_text_alternative() -> None:
    pictures = re.compile(r"!\[([^]]*)\]\(([^)]+)\)")
    found = [
        (name(page), target, words)
        for page in (ROOT / "README.md", *GUIDES.rglob("*.md"))
        for words, target in pictures.findall(text(page))
    ]
    assert found
    assert not [each for each in found if len(each[2].split()) < 5]


@pytest.mark.parametrize("decision", DECISIONS, ids=name)
def test_a_decision_has_the_format(decision: Path) -> None:
    """Title with its number, status and date, and four sections that say something."""
    number = int(decision.name[:4])
    title, _, rest = text(decision).partition("\n\n")
    assert re.fullmatch(rf"# {number}\. \S[^\n]*", title), f"the title of {name(decision)}"
    assert _STATUS.match(rest), f"{name(decision)} has no status and date below its title"
    sections = re.split(r"^## (.*)\n", rest, flags=re.M)
    assert sections[1::2] == _SECTIONS, f"{name(decision)}: {sections[1::2]}"
    assert all(body.strip() for body in sections[2::2]), f"{name(decision)} has an empty section"


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_index_lists_every_decision_with_its_title_and_status() -> None:
    index = text(ROOT / "ops" / "decisions" / "README.md")
    rows = re.findall(r"^\| (\d+) \| \[(.*)\]\((.*)\) \| (.*) \|$", index, re.M)
    expected = []
    for decision in DECISIONS:
        title, _, rest = text(decision).partition("\n\n")
        status = _STATUS.match(rest)
        assert status
        number, _, words = title.removeprefix("# ").partition(". ")
        # The index is a table; it says "11" where the decision links.
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", status[1])
        expected.append((number, words, decision.name, plain))
    assert rows == expected


def test_the_newest_version_of_the_changelog_is_the_projects() -> None:
    """Keep a Changelog: Unreleased first, then versions with their dates, newest first."""
    heads = re.findall(r"^## (.*)$", text(ROOT / "CHANGELOG.md"), re.M)
    assert heads[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", head) for head in heads[1:]]
    assert all(released), f"not [X.Y.Z] - YYYY-MM-DD: {heads[1:]}"
    versions = [match[1] for match in released if match]
    assert versions == sorted(versions, key=lambda v: [*map(int, v.split("."))], reverse=True)
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    assert versions[0] == project["version"]


def test_the_changelog_groups_changes_as_the_standard_does() -> None:
    kinds = re.findall(r"^### (.*)$", text(ROOT / "CHANGELOG.md"), re.M)
    assert set(kinds) <= _CHANGES, f"{set(kinds) - _CHANGES} are no kinds of changes"
    assert kinds


def test_the_page_of_the_tests_names_every_folder() -> None:
    page = text(ROOT / "tests" / "README.md")
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    missing = [folder for folder in sorted(folders) if f"`tests/{folder}/`" not in page]
    assert not missing, f"tests/README.md does not say what lives in {', '.join(missing)}"


def test_continuous_integration_runs_on_every_supported_python() -> None:
    """The versions that the Makefile looks for; the oldest is what the project requires."""
    makefile = re.search(r"^PYTHONS := (.*)$", text(ROOT / "Makefile"), re.M)
    workflow = re.search(r"python: \[(.*)\]", text(ROOT / ".github" / "workflows" / "ci.yml"))
    assert makefile
    assert workflow
    looked_for = re.findall(r"python(3\.\d+)", makefile[1])
    tested = re.findall(r'"([^"]+)"', workflow[1])
    assert tested == looked_for[::-1]
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    assert project["requires-python"] == f">={tested[0]}"


def test_hooks_fetch_nothing() -> None:
    """Every hook before a commit is local and runs a pinned tool of .venv."""
    hooks = text(ROOT / ".pre-commit-config.yaml")
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    assert all(entry.startswith(".venv/bin/") for entry in re.findall(r"entry: (.*)", hooks))


@pytest.mark.parametrize("package", ["gateway", "loadtest", "ops", "workers"])
def test_a_package_carries_its_types(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    setuptools = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["setuptools"]
    assert "py.typed" in setuptools["package-data"]["*"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_no_merge_was_left_half_done(document: Path) -> None:
    assert not re.search(r"^(<{7}|={7}|>{7})( |$)", text(document), re.M)
