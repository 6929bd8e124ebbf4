"""What is said, on the terminal and in the result, wherever a mark of an output was switched off."""

NO_CREDENTIALS = (
    "no Content Credentials were written (--no-credentials): to say that this video is AI-generated "
    "is now up to whoever publishes it"
)
"""Note of a result whose credentials were switched off."""
NO_WATERMARK = (
    "no invisible watermark was put into the redrawn mouths (--no-watermark): once its metadata are gone, "
    "nothing invisible tells that this video is AI-generated"
)
"""Note of a result whose watermark was switched off."""
SWITCHED_OFF = (NO_CREDENTIALS, NO_WATERMARK)
"""Notes that are printed even where others are not."""
