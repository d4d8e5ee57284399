"""docs/data.md shows what its own script and command print."""

import re
import shlex
from pathlib import Path

from vsr_adapter.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def test_the_page_of_data_reproduces(capsys):
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(script, {})
    command, expected = re.search(r"```console\n\$ vsr (.*?)\n(.*?)```", PAGE, re.DOTALL).groups()
    assert main(shlex.split(command)) == 1
    assert capsys.readouterr().out == expected
