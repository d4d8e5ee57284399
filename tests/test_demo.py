"""`make demo`: the default stack, as a user first meets it."""

from vsr_adapter.demo import demo
from vsr_adapter.video.index import probe


def test_the_demo_shows_the_shipped_stack_above_bicubic(tmp_path, capsys):
    assert demo(tmp_path, ["--data.predict.threads=1", "--data.predict.estimate=false"]) == 0
    out = capsys.readouterr().out
    assert "random weights" not in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("bicubic ", "ours "))}
    assert float(rows["ours"][1]) > float(rows["bicubic"][1])  # PSNR
    assert float(rows["ours"][3]) < float(rows["bicubic"][3])  # LPIPS
    assert (tmp_path / "strip.png").is_file()
    assert probe(tmp_path / "strip.mp4")[1:4] == (8, 768, 160)
