// albedo_map: r = brightness relative to the mean (0.5 = mean), a = coverage
uniform sampler2D albedo_map;
uniform vec3 tint;
uniform float shine, cutoff, flatness, density;
void main() {
    vec4 base = texture(albedo_map, uv);
    float a = base.a;
    if (a < cutoff) discard;
    vec3 v = normalize(eye - position);
    vec3 n = normalize(gl_FrontFacing ? normal : -normal);
    n = normalize(mix(n, normalize(normal), 0.5 + 0.5 * flatness));
    vec3 up = normalize(vec3(0.1, 1.0, 0.25));
    vec3 t = normalize(up - n * dot(n, up));
    vec3 albedo = tint * mix(1.0, base.r * 2.0, 0.8);
    vec3 key = key_colour * wrapped(dot(n, key_direction), vec3(0.25)) * light.y;
    vec3 fill = fill_colour * wrapped(dot(n, fill_direction), vec3(0.3)) * light.w;
    vec3 rim = rim_colour * wrapped(dot(n, rim_direction), vec3(0.5));
    vec3 c = albedo * (key + fill + rim + ambient(n) * light.x) * 1.15;
    vec3 h = normalize(v + key_direction), hr = normalize(v + rim_direction);
    float th = dot(t, h) - (base.r - 0.5) * 0.5, tr = dot(t, hr);
    float s1 = pow(max(1.0 - th * th, 0.0), 60.0), s2 = pow(max(1.0 - th * th, 0.0), 14.0), s3 = pow(max(1.0 - tr * tr, 0.0), 20.0);
    float facing = clamp(dot(n, key_direction) * 1.5 + 0.2, 0.0, 1.0);
    c += shine * base.r * (key_colour * facing * light.y * (0.05 * s1 + albedo * 0.9 * s2) + rim_colour * 0.06 * s3 * clamp(dot(n, rim_direction) + 0.3, 0.0, 1.0));
    colour = vec4(camera(c), clamp(a * density, 0.0, 1.0));
}
