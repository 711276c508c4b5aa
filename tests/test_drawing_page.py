"""The HTML file in a real browser: hovering, folding, clicking and the slider work, and nothing is fetched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn
from autograd_lite.page import page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,900 --virtual-time-budget=3000 --dump-dom"
).split()

# What a reader does, and what the page then looks like.
PROBE = """
const out = {}, at = name => document.querySelector(`[data-name="${name}"]`);
const act = (element, kind) => element.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX: 50, clientY: 60 }));
const seen = () => [...document.querySelectorAll("g.node[data-name]:not(.gone)")].map(each => each.dataset.name).sort();
const texts = name => [...at(name).querySelectorAll("text")].map(each => each.textContent);
out.boxes = seen();
act(at("p0_0_weight"), "mousemove");
out.hover = getComputedStyle(tip).display + " " + tip.textContent;
act(at("p0_0_weight"), "mouseleave");
out.left = getComputedStyle(tip).display;
act(at("tanh"), "click");
out.lit = [...document.querySelectorAll("g.node.lit")].map(each => each.dataset.name).sort();
out.faded = getComputedStyle(at("p1_weight")).opacity;
act(picture, "click");
out.cleared = document.querySelectorAll(".lit").length + " " + getComputedStyle(at("p1_weight")).opacity;
const frame = Object.keys(view.frames).find(each => view.frames[each].title === "0");
act(clusters.get(frame).querySelector("text"), "click");
out.folded = seen();
out.stub = document.querySelector(".stub text").textContent;
out.bridges = document.querySelectorAll(".bridge").length;
act(document.querySelector(".stub"), "click");
out.unfolded = seen();
out.before = texts("p1_weight");
const fillOf = name => at(name).querySelector("[fill]:not([fill=none])").getAttribute("fill");
out.fill = fillOf("p1_weight");
slider.value = 1;
slider.dispatchEvent(new Event("input"));
out.after = texts("p1_weight");
out.fillAfter = fillOf("p1_weight");
out.step = document.querySelector("#steps output").textContent;
out.readable = svg.getScreenCTM().a >= 0.7499;
act(document.getElementById("fit"), "click");
const wide = svg.viewBox.baseVal.width, left = svg.viewBox.baseVal.x;
picture.dispatchEvent(new WheelEvent("wheel", { deltaY: -100, clientX: 400, clientY: 400, cancelable: true }));
out.zoomed = svg.viewBox.baseVal.width < wide;
const x = svg.viewBox.baseVal.x;
picture.dispatchEvent(new PointerEvent("pointerdown", { clientX: 400, clientY: 400 }));
window.dispatchEvent(new PointerEvent("pointermove", { clientX: 300, clientY: 400 }));
window.dispatchEvent(new PointerEvent("pointerup", {}));
out.moved = svg.viewBox.baseVal.x > x;
act(document.getElementById("fit"), "click");
out.fitted = svg.viewBox.baseVal.width === wide && svg.viewBox.baseVal.x === left;
select.value = 1;
select.dispatchEvent(new Event("change"));
out.shallow = seen();
"""

FETCHED = """
fetch("http://127.0.0.1:9/secret").then(() => { out.fetched = true; }, () => { out.fetched = false; }).then(() => {
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify(out);
  document.body.append(result);
});
"""


@pytest.fixture(scope="module")
def drawn() -> tuple[ag.Tensor, Any]:
    rng = np.random.default_rng(0)
    inner = nn.Sequential(nn.Linear(3, 4, rng=rng, dtype=np.float64), nn.Tanh())
    model = nn.Sequential(inner, nn.Linear(4, 1, rng=rng, dtype=np.float64))
    x, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))

    def loss(x: Any, t: Any) -> Any:
        return nn.functional.mse_loss(model(x), t)

    graph = ag.draw(loss, x, t, backward=True)
    model[1].weight.data = model[1].weight.data * 1e-6
    graph.record(x, t, step="epoch 1")
    return model, graph


def browsed(page: str, probe: str, folder: Path) -> dict[str, Any]:
    """What a browser saw in a page while a script ran in it, which puts its findings into `out`; and the requests."""
    if BROWSER is None:
        pytest.skip("NO BROWSER: chromium is not installed, so the HTML file is not tested (apt install chromium)")
    whole = probe + FETCHED
    (folder / "page.html").write_text(page.replace("</body>", f"<script>{whole}</script></body>"), encoding="utf-8")
    log = folder / "net.json"
    command = [
        BROWSER,
        *QUIET,
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
    ]
    done = subprocess.run(
        [*command, (folder / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert found, f"the page's script failed: {done.stderr}"
    shown: dict[str, Any] = json.loads(found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
    # The browser's own requests have no origin; a page's have one.
    shown["requests"] = set(re.findall(r'"initiator":"([^"]*)"', log.read_text())) - {"not an origin"}
    return shown


@pytest.fixture(scope="module")
def report(drawn: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser saw while the probe ran."""
    folder = tmp_path_factory.mktemp("page")
    drawn[1].save(folder / "graph.html")
    return browsed((folder / "graph.html").read_text(encoding="utf-8"), PROBE, folder)


def names(graph: Any) -> list[str]:
    return sorted(box.name for box in graph.scene().boxes)


def test_every_box_is_in_the_page(report: dict[str, Any], drawn: tuple[Any, Any]) -> None:
    assert report["boxes"] == names(drawn[1])


def test_hovering_tells_values_and_gradient(report: dict[str, Any], drawn: tuple[Any, Any]) -> None:
    graph = drawn[1]
    weight = next(each for each in graph.program.captured if each.label == "0.0.weight")
    kind, _, text = report["hover"].partition(" ")
    assert kind == "block"
    assert "0.0.weight" in text
    assert "float64[4, 3]" in text
    assert f"value {graph.notes.values[weight]}" in text
    assert f"gradient {graph.notes.values[graph.notes.gradients[weight]]}" in text
    assert report["left"] == "none"


def test_a_click_lights_the_path_to_the_loss(report: dict[str, Any]) -> None:
    assert report["lit"] == ["linear_2", "loss", "tanh"]
    assert float(report["faded"]) < 0.5
    assert report["cleared"] == "0 1"


def test_folding_a_frame_hides_what_is_inside(report: dict[str, Any]) -> None:
    inside = {"p0_0_weight", "p0_0_bias", "linear_1", "tanh"}
    assert set(report["boxes"]) - set(report["folded"]) == inside
    assert report["stub"] == "0: 4 boxes"
    assert report["bridges"] >= 2
    assert report["unfolded"] == report["boxes"]


def test_the_slider_shows_a_recorded_step(report: dict[str, Any], drawn: tuple[Any, Any]) -> None:
    graph = drawn[1]
    weight = next(each for each in graph.program.captured if each.label == "1.weight")
    assert f"value {graph.notes.values[weight]}" in report["before"]
    assert f"value {graph.recordings[0][1][weight]}" in report["after"]
    assert report["before"] != report["after"]
    assert report["fill"] != report["fillAfter"]
    assert report["step"] == "epoch 1"


def test_zoom_move_and_fit(report: dict[str, Any]) -> None:
    assert report["readable"]
    assert report["zoomed"]
    assert report["moved"]
    assert report["fitted"]


def test_another_depth_is_another_picture(report: dict[str, Any], drawn: tuple[Any, Any]) -> None:
    assert report["shallow"] == sorted(box.name for box in drawn[1].scene(2).boxes)
    assert len(report["shallow"]) < len(report["boxes"])


def test_nothing_leaves_the_machine(report: dict[str, Any]) -> None:
    assert report["fetched"] is False
    assert report["requests"] == set()


def test_what_was_folded_can_be_unfolded_in_the_page() -> None:
    def f(x: Any) -> Any:
        for _ in range(5):
            x = np.exp(np.tanh(x))
        return x

    text = page(ag.draw(f, np.ones(3), fold=True))
    start = text.index('type="application/json">') + len('type="application/json">')
    views = json.loads(text[start : text.index("</script>", start)])["views"]
    assert [view["title"] for view in views] == ["as drawn: 3 boxes", "every operation: 11 boxes"]
    assert [len(view["boxes"]) for view in views] == [3, 11]


def test_awkward_names_end_no_script(tmp_path: Path) -> None:
    name = '</script><script>alert("x")</script>'
    w = ag.tensor([1.0], requires_grad=True, name=name)
    ag.draw(lambda x: x + w, np.ones(1)).save(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 2
    data = text[text.index('type="application/json">') + len('type="application/json">') : text.index("</script>")]
    assert name in [each["title"] for each in json.loads(data)["views"][0]["boxes"].values()]
