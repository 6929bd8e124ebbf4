"""Draws a hand that the hand networks take for one."""

from __future__ import annotations

import cv2
import numpy as np

_FINGERS = (
    ((-42, -35), (-52, -80), (-58, -112), (-62, -140)),
    ((-14, -42), (-17, -95), (-19, -133), (-20, -165)),
    ((14, -38), (19, -88), (22, -123), (24, -152)),
    ((40, -25), (52, -62), (59, -88), (64, -110)),
)
_THUMB = ((-40, 50), (-72, 15), (-92, -20), (-108, -48))
_PALM = ((-56, -40), (-20, -52), (20, -50), (54, -28), (50, 30), (34, 72), (-34, 72), (-56, 20))


def draw_hand(picture: np.ndarray, at: tuple[float, float], angle: float, scale: float = 0.7) -> np.ndarray:
    """Draw a hand into a picture (H, W, 3); return its four knuckles, from index to little finger, in pixels (4, 2)."""
    skin, shade = (224, 172, 140), (180, 120, 95)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def place(points) -> np.ndarray:
        return np.asarray(points) @ turn.T + at

    def draw_limb(points, width: float) -> None:
        for colour, thickness in ((shade, width + 3), (skin, width)):
            corners = np.round(16 * place(points)).astype(np.int32)
            cv2.polylines(picture, [corners], False, colour, int(thickness * scale), cv2.LINE_AA, 4)
            for corner in corners:
                cv2.circle(picture, corner.tolist(), int(8 * thickness * scale), colour, -1, cv2.LINE_AA, 4)

    draw_limb(((0, 60), (0, 190)), 62)
    for finger in _FINGERS:
        draw_limb(finger, 27)
    draw_limb(_THUMB, 30)
    palm = np.round(16 * place(_PALM)).astype(np.int32)
    cv2.fillPoly(picture, [palm], skin, cv2.LINE_AA, 4)
    cv2.polylines(picture, [palm], True, skin, int(14 * scale), cv2.LINE_AA, 4)
    for finger in _FINGERS:
        for joint in finger[1:3]:
            crease = np.round(16 * place([np.add(joint, (-9, 0)), np.add(joint, (9, 0))])).astype(np.int32)
            cv2.line(picture, crease[0].tolist(), crease[1].tolist(), shade, 2, cv2.LINE_AA, 4)
    return place([finger[0] for finger in _FINGERS])
