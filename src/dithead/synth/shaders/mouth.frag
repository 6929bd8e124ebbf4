// Teeth, gums and tongue, lit only by what comes through the lips.
uniform sampler2D albedo_map;
uniform vec3 tint;
uniform vec3 mouth_centre;
uniform float mouth_open;
void main() {
    vec3 n = normalize(normal), v = normalize(eye - position);
    vec4 base = texture(albedo_map, uv);
    vec3 albedo = pow(base.rgb, vec3(1.7)) * tint;
    float depth = mouth_centre.z - position.z;
    float high = position.y - mouth_centre.y;
    float through = exp(-max(depth - 0.05, 0.0) * 5.0);
    through *= clamp(0.35 + 4.0 * mouth_open, 0.0, 1.0);
    through *= 1.0 - 0.75 * smoothstep(0.00, 0.14, high);            // the upper lip shades what hides behind it
    through *= 1.0 - 0.45 * smoothstep(0.10, 0.34, abs(position.x - mouth_centre.x));
    vec3 diffuse = key_colour * wrapped(dot(n, key_direction), vec3(0.4)) * 0.75
                 + fill_colour * wrapped(dot(n, fill_direction), vec3(0.4)) + ambient(n) * 0.8;
    through *= 1.0 - 0.6 * smoothstep(-0.02 - 0.5 * mouth_open, -0.12 - 0.5 * mouth_open, high); // and the lower lip
    vec3 c = albedo * diffuse * through;
    float s = ggx(n, v, key_direction, 0.25) + 0.5 * ggx(n, v, fill_direction, 0.25);
    c += key_colour * s * through * 0.7;
    colour = vec4(camera(c), 1.0);
}
