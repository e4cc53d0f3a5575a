"""What the page about testing shows is a project that passes."""

from tests.docs._snippets import ROOT, blocks
from tests.testing._projects import Project


def test_the_page_about_testing_tests(project: Project) -> None:
    shown = blocks(ROOT / "docs" / "testing.md", "python")
    # What a page shows has imports where they are first needed.
    project.write("test_page.py", "\n".join(block.lstrip("\n") for block in shown))
    project.run().assert_outcomes(passed=14)
