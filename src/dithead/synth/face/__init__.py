"""How a synthetic face moves: the mouth by phonemes or sound, and head, gaze, lids and brows at random."""
