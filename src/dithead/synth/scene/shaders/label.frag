#version 330
// Writes what each pixel shows, as a number. Hidden pixels are discarded by the same tests as in the shading programs.
in vec3 position;
in vec3 normal;
in vec3 rest;
in vec2 uv;
in vec4 mask;
in vec4 light;
out vec4 colour;
uniform sampler2D albedo_map;
uniform int label;
uniform float cutoff;
uniform vec4 neckline;
#include neck
void main() {
    int shown = label;
    if (label == 1) {
        if (below_neckline(rest) > 0.16) discard;
        if (mask.x > 0.5) shown = 2;
        if (mask.z > 0.5) shown = 3;
    }
    if (label == 9 && below_neckline(rest) < 0.0) discard;
    if (cutoff > 0.0 && texture(albedo_map, uv).a < 0.5) discard;
    colour = vec4(float(shown) / 255.0, 0.0, 0.0, 1.0);
}
