"""MediaPipe's face and hand networks run by LiteRT, with the steps around them written in NumPy and OpenCV."""
