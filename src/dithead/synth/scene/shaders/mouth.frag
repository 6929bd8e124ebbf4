// Teeth, gums and tongue, which are lit only by the light that comes through the lips.
uniform sampler2D albedo_map;
uniform vec3 tint;
uniform vec3 mouth_centre;
uniform float mouth_open;
uniform float tongue;   // 1 for the tongue, on which the upper lip casts less shadow; 0 for the teeth
void main() {
    vec3 n = normalize(normal), v = normalize(eye - position);
    vec4 base = texture(albedo_map, uv);
    vec3 albedo = pow(base.rgb, vec3(1.7)) * tint;
    float depth = mouth_centre.z - position.z;
    float high = position.y - mouth_centre.y;
    if (high < -0.5 * mouth_open - 0.13) discard;   // so that the teeth of a wide jaw do not pierce the chin
    float through = exp(-max(depth - 0.05, 0.0) * 5.0);
    through *= clamp(0.35 + 4.0 * mouth_open, 0.0, 1.0);
    through *= 1.0 - mix(0.75, 0.30, tongue) * smoothstep(0.00, 0.14, high);            // shadow of the upper lip
    through *= 1.0 - 0.82 * smoothstep(0.09, 0.30, abs(position.x - mouth_centre.x));
    vec3 diffuse = key_colour * wrapped(dot(n, key_direction), vec3(0.4)) * 0.75
                 + fill_colour * wrapped(dot(n, fill_direction), vec3(0.4)) + ambient(n) * 0.8;
    through *= 1.0 - 0.6 * smoothstep(-0.02 - 0.5 * mouth_open, -0.12 - 0.5 * mouth_open, high); // shadow of the lower lip
    vec3 c = albedo * diffuse * through * mix(vec3(0.95, 0.66, 0.60), vec3(1.0, 0.96, 0.92), through);   // light that lips and gums reflect is reddish
    float s = ggx(n, v, key_direction, 0.25) + 0.5 * ggx(n, v, fill_direction, 0.25);
    c += key_colour * s * through * 0.7;
    colour = vec4(camera(c), 1.0);
}
