"""Model, video and speech in, video out: analyse the source, synthesise mouths, compose them into the frames."""
