// Eyeballs. rest: unit direction in the frame of the eyeball, +z through the pupil.
uniform sampler2D albedo_map;
uniform mat3 head_rotation;
uniform vec3 pivot, head_shift;
uniform vec4 lids;          // in head space: x of the middle, y of the upper and of the lower lid there, half width of the opening
uniform float lid_shadow;   // strength of the shadow and the wet rim along the lids, 0: none
void main() {
    vec3 d = normalize(rest), v = normalize(eye - position);
    float angle = acos(clamp(d.z, -1.0, 1.0));
    vec2 across = length(d.xy) > 1e-5 ? normalize(d.xy) : vec2(0.0);
    vec2 where = vec2(0.7060, 0.7060) + across * 0.1150 * min(angle / 0.50, 2.45);
    vec3 albedo = pow(texture(albedo_map, where).rgb, vec3(2.2));
    albedo = mix(albedo, albedo * 1.25, smoothstep(0.6, 0.5, angle));
    vec3 n = normalize(normal);
    float cornea = smoothstep(0.62, 0.35, angle);
    vec3 wet = normalize(n + cornea * 0.25 * (n - normalize(mix(n, v, 0.4))));
    float lid = light.x;
    vec3 c = albedo * (key_colour * wrapped(dot(n, key_direction), vec3(0.35)) * light.y
           + fill_colour * wrapped(dot(n, fill_direction), vec3(0.35)) * light.w + ambient(n) * lid) * 0.95;
    c *= mix(vec3(1.0), vec3(0.95, 0.72, 0.66), smoothstep(0.75, 0.25, lid) * (1.0 - cornea));
    vec3 p = transpose(head_rotation) * (position - pivot - head_shift) + pivot;
    float aside = clamp((p.x - lids.x) / lids.w, -1.0, 1.0), corners = mix(lids.z, lids.y, 0.4);
    float upper = mix(lids.y, corners, aside * aside) - p.y, lower = p.y - mix(lids.z, corners, aside * aside);
    float shaded = mix(0.48, 1.0, smoothstep(-0.005, 0.075, upper)) * mix(0.75, 1.0, smoothstep(-0.005, 0.04, lower));
    c *= mix(1.0, shaded, lid_shadow) * mix(vec3(1.0), vec3(1.0, 0.84, 0.80), lid_shadow * smoothstep(0.55, 1.0, abs(aside)) * (1.0 - cornea));
    float s = ggx(wet, v, key_direction, 0.13) * 0.8 + ggx(wet, v, normalize(key_direction + vec3(0.12, 0.1, 0.0)), 0.10) * 0.5;
    c += key_colour * min(s, 3.0) * light.y + fill_colour * min(ggx(wet, v, fill_direction, 0.16), 1.0) * light.w;
    c += ambient(reflect(-v, wet)) * 0.05 * lid;
    float rim = lid_shadow * exp(-(lower - 0.012) * (lower - 0.012) / 0.00010) * smoothstep(0.0, 0.03, upper);
    c += rim * (0.10 * ambient(vec3(0.0, 1.0, 0.0)) + 0.16 * key_colour * light.y * max(dot(n, key_direction), 0.0) + 0.08 * fill_colour);
    colour = vec4(camera(c), 1.0);
}
