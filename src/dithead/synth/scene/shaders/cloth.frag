// Clothes. rest: position on the neutral body, where the neckline is a curve.
uniform sampler2D detail_map;
uniform vec3 tint, tint2;
uniform vec4 neckline;      // height, drop at the front, pointedness, unused
#include neck
uniform int pattern;

// 1 around every integer x, over `share` of the unit, and 0 elsewhere; the edges are one pixel wide.
float band(float x, float share) {
    float soft = max(fwidth(x), 1e-4), at = abs(fract(x) - 0.5) - 0.5 * (1.0 - share);
    return smoothstep(-soft, soft, at);
}

void main() {
    float edge = below_neckline(rest);
    if (edge < 0.0) discard;
    vec3 n = normalize(normal), v = normalize(eye - position);
    float fold = texture(detail_map, rest.xy * vec2(0.16, 0.11) + 0.2).r + 0.5 * texture(detail_map, rest.zy * 0.23).r;
    float weave = texture(detail_map, vec2(rest.x + rest.z, rest.y) * 7.0).g;
    float along = (position.y - 0.7 * position.z) * 2.6, across = position.x * 2.6;   // so that stripes follow the cloth over the shoulder
    vec3 albedo = tint;
    if (pattern == 1) albedo = mix(tint, tint2, band(along, 0.5));
    if (pattern == 2) albedo = mix(tint, tint2, 0.5 * band(across, 0.3) + 0.5 * band(along, 0.3));
    if (pattern == 3) albedo = mix(tint, tint2, smoothstep(0.30, 0.28, abs(rest.x)) * smoothstep(0.28, 0.32, rest.z));
    float rib = smoothstep(0.09, 0.07, edge);
    albedo *= mix(1.0, 0.86 + 0.14 * sin(rest.x * 150.0 + rest.z * 60.0), rib * 0.5) * (0.9 + 0.2 * weave);
    albedo *= mix(1.0, 0.75, smoothstep(0.015, 0.0, abs(edge - 0.085)));
    float height = fold * 0.14 + weave * 0.006 + rib * 0.02;
    vec3 dx = dFdx(position), dy = dFdy(position);
    vec3 r1 = cross(dy, n), r2 = cross(n, dx);
    float det = dot(dx, r1);
    n = normalize(abs(det) * n - 0.55 * sign(det) * (dFdx(height) * r1 + dFdy(height) * r2));
    vec3 c = albedo * (key_colour * wrapped(dot(n, key_direction), vec3(0.15)) * light.y
           + fill_colour * wrapped(dot(n, fill_direction), vec3(0.2)) * light.w
           + rim_colour * wrapped(dot(n, rim_direction), vec3(0.2)) + ambient(n) * light.x);
    c += 0.04 * tint * pow(1.0 - max(dot(n, v), 0.0), 3.0) * ambient(n);
    colour = vec4(camera(c), 1.0);
}
