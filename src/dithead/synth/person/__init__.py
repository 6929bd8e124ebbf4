"""A person that can be posed and drawn: the head in its skin, with hair, clothes and light."""
