#version 330
uniform sampler2D albedo_map;
uniform float cutoff;
in vec2 uv;
void main() { if (cutoff > 0.0 && texture(albedo_map, uv).a < cutoff) discard; }
