"""Synthetic people who speak, with exact mouth truth.

Each package of `synth` imports only from those before it in this order:

    types, noise <- voice <- face <- head <- skin, scene <- person <- corpus

`voice` makes speech and says what sounds when; `face` turns that into the movement of mouth, eyes and head; `head` is
the parametric head; `skin` paints it or takes its skin from pictures; `scene` holds light, camera and renderer;
`person` joins them to somebody who can be posed and drawn; `corpus` writes clips. Import the submodules: this file
stays light.
"""
