"""The settings of ``prepare`` that decide what a clip is; every default lives here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PrepareConfig(BaseModel):
    """Stored as ``config.json`` of a dataset. All clips of a dataset share it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int = 1  # of the layout on disk
    size: int = Field(192, ge=32, le=1024, multiple_of=2)  # side of the crop in pixels
    fps: int = Field(25, ge=10, le=60)
    sample_rate: int = 16000
    min_seconds: float = Field(1.0, gt=0)
    max_seconds: float = Field(10.0, ge=1)
    min_valid: float = Field(0.8, gt=0, le=1)  # share of frames in which the face must have been found
    min_eye_distance: float = Field(24.0, ge=0)  # pixels in the source
    smooth_frames: float = Field(1.5, ge=0)  # Gaussian sigma of the crop's motion
    crf: float = Field(12.0, ge=0, le=18)  # H.264 quality of the crops
    correct_offset: bool = True  # move the sound of clips of two seconds or more to where the lips are
    offset_confidence: float = Field(0.12, ge=0)  # of the sync expert: below it no sound is moved
    min_confidence: float = Field(0.03, ge=0)  # below it the picture does not speak, and the clip is rejected; 0: never
