"""What a real camera does to a clean rendered picture: blur, vignette, colour and sensor noise."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.synth.scene.setting import Setting
from dithead.types import RGB

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_LEAST_BLUR = 0.3  # pixels; a weaker blur is not applied


class CameraEffects:
    """Applies the imperfections of one setting's camera to pictures of one size."""

    def __init__(self, setting: Setting, width: int, height: int) -> None:
        self.setting = setting
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]  # type: ignore[misc]
        self.vignette = (1 - setting.vignette * 0.5 * (x**2 + y**2))[..., None].astype(np.float32)

    def apply(self, pixels: RGB, rng: np.random.Generator) -> RGB:
        """Return the picture as this camera would have taken it; ``rng`` draws the sensor noise."""
        setting = self.setting
        image = pixels.astype(np.float32)
        if setting.blur > _LEAST_BLUR:
            image = cv2.GaussianBlur(image, (0, 0), setting.blur)
        grey = image @ _LUMA
        image = np.asarray(grey[..., None] + (image - grey[..., None]) * setting.saturation, np.float32)
        fine = rng.standard_normal(image.shape[:2], dtype=np.float32)
        coarse = cv2.resize(rng.standard_normal((image.shape[0] // 2, image.shape[1] // 2, 3), dtype=np.float32),
                            (image.shape[1], image.shape[0]))  # fmt: skip
        image = image * self.vignette + setting.noise * (0.7 * fine[..., None] + 0.5 * coarse)
        return np.asarray(np.clip(image + 0.5, 0, 255), np.uint8)
