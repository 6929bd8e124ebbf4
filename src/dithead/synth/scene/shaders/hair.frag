// Hair, brows, lashes and plain objects. albedo_map: r = brightness relative to the mean (0.5 = mean), a = coverage
uniform sampler2D albedo_map;
uniform sampler2D detail_map;   // read only where strands > 0
uniform vec3 tint;
uniform float shine, cutoff, flatness, density;
uniform float strands, hairline;   // strength of fine strands, and of the thinning edge towards the skin (mask: x is 0 at the roots, yz run along and around the head)
void main() {
    vec4 base = texture(albedo_map, uv);
    float a = base.a;
    float strand = 0.5;
    if (strands > 0.0) {
        strand = 0.5 * textureLod(detail_map, mask.yz * vec2(2.3, 0.35), 0.5).r + 0.5 * textureLod(detail_map, mask.yz * vec2(0.9, 0.11), 0.5).g;
        a *= mix(1.0, smoothstep(0.10, 0.40, mask.x + (strand - 0.5) * 0.9), hairline);
    }
    if (a < cutoff) discard;
    vec3 v = normalize(eye - position);
    vec3 n = normalize(gl_FrontFacing ? normal : -normal);
    n = normalize(mix(n, normalize(normal), 0.5 + 0.5 * flatness));
    vec3 up = normalize(vec3(0.1, 1.0, 0.25));
    vec3 t = normalize(up - n * dot(n, up));
    float lit = mix(base.r, 0.5 + (base.r - 0.5) * 0.7 + (strand - 0.5) * 0.7, strands);
    vec3 albedo = tint * mix(1.0, max(lit, 0.08) * 2.0, 0.8) * mix(1.0, 0.55 + 0.3 * mask.x, strands);
    vec3 key = key_colour * wrapped(dot(n, key_direction), vec3(0.25)) * light.y;
    vec3 fill = fill_colour * wrapped(dot(n, fill_direction), vec3(0.3)) * light.w;
    vec3 rim = rim_colour * wrapped(dot(n, rim_direction), vec3(0.5));
    vec3 c = albedo * (key + fill + rim + ambient(n) * light.x) * 1.15;
    vec3 h = normalize(v + key_direction), hr = normalize(v + rim_direction);
    float th = dot(t, h) - (lit - 0.5) * 0.5, tr = dot(t, hr);
    float s1 = pow(max(1.0 - th * th, 0.0), 60.0), s2 = pow(max(1.0 - th * th, 0.0), 14.0), s3 = pow(max(1.0 - tr * tr, 0.0), 20.0);
    float facing = clamp(dot(n, key_direction) * 1.5 + 0.2, 0.0, 1.0);
    c += shine * clamp(lit, 0.0, 1.0) * mix(1.0, 0.7, strands) * (key_colour * facing * light.y * (0.05 * s1 + albedo * 0.9 * s2) + rim_colour * 0.06 * s3 * clamp(dot(n, rim_direction) + 0.3, 0.0, 1.0));
    colour = vec4(camera(c), clamp(a * density, 0.0, 1.0));
}
