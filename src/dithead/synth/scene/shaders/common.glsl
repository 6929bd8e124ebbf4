in vec3 position;
in vec3 normal;
in vec3 rest;
in vec2 uv;
in vec4 mask;
in vec4 light;
out vec4 colour;
uniform vec3 eye;
uniform vec3 key_direction, key_colour;
uniform vec3 fill_direction, fill_colour;
uniform vec3 rim_direction, rim_colour;
uniform vec3 ambient_up, ambient_down;
uniform vec3 white_balance;
uniform float exposure;
uniform float contrast;

vec3 ambient(vec3 n) { return mix(ambient_down, ambient_up, n.y * 0.5 + 0.5); }

// Diffuse light that wraps around the terminator, red the furthest: a cheap approximation of subsurface scattering.
vec3 wrapped(float cosine, vec3 wrap) {
    vec3 d = clamp((vec3(cosine) + wrap) / (1.0 + wrap), 0.0, 1.0);
    return d * d * (3.0 - 2.0 * d) * 0.35 + d * 0.65;
}

float ggx(vec3 n, vec3 v, vec3 l, float roughness) {
    vec3 h = normalize(v + l);
    float a = roughness * roughness, nh = max(dot(n, h), 0.0), nl = max(dot(n, l), 0.0), nv = max(dot(n, v), 0.05);
    float d = nh * nh * (a * a - 1.0) + 1.0;
    float k = a * 0.5;
    float g = 1.0 / ((nl * (1.0 - k) + k) * (nv * (1.0 - k) + k));
    float f = 0.028 + 0.972 * pow(1.0 - max(dot(v, h), 0.0), 5.0);
    return a * a / (3.14159 * d * d) * g * f * 0.25 * nl;
}

vec3 visible_key(float s, float softness) { return pow(vec3(clamp(s, 0.0, 1.0)), mix(vec3(1.0), vec3(0.62, 1.0, 1.12), softness)); }

// The response of a camera: exposure, white balance, filmic curve, sRGB.
vec3 camera(vec3 linear) {
    vec3 x = linear * exposure * white_balance;
    x *= 0.62;
    x = clamp(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0);   // fit of the ACES curve, Narkowicz 2015
    x = mix(12.92 * x, 1.055 * pow(max(x, 1e-5), vec3(1.0 / 2.4)) - 0.055, step(0.0031308, x));
    return mix(x, x * x * (3.0 - 2.0 * x), contrast);
}
