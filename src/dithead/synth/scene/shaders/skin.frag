// Skin. mask: lips, beard, mouth cavity, roots of the hair.
uniform sampler2D albedo_map;   // sRGB-encoded skin of this person
uniform sampler2D detail_map;   // tileable; channels: soft noise, pores, stubble, blotches
uniform vec3 lip_colour;
uniform float lip_strength, lip_gloss, gloss, stubble;
uniform vec3 stubble_colour;
uniform vec3 mouth_centre;      // the mouth cavity darkens behind this point
uniform float mouth_open;
uniform float relief, blush, painted;   // painted: 0 for a photographed skin, which brings its own blemishes
uniform vec3 hair_colour;
uniform float hairline;         // 1: hair thins out towards the face; 0: it ends in a line
uniform float folds;            // strength of the folds that expressions make, 0: none
uniform vec3 creased;           // present strength beside the mouth, across the forehead, beside the eyes
uniform vec4 neckline;
#include neck

// Height (x) and darkness (y) of the folds that expressions make, at a point of the neutral head.
vec2 fold(vec3 p) {
    if (p.z < 0.5) return vec2(0.0);
    float t = clamp((6.94 - p.y) / 0.40, 0.0, 1.0), off = p.x - (0.195 + 0.19 * pow(t, 0.8));
    float ends = smoothstep(0.02, 0.25, t) * (1.0 - smoothstep(0.70, 1.0, t)) * step(p.y, 6.95);
    float groove = exp(-off * off / 0.0007), bulge = exp(-(off - 0.075) * (off - 0.075) / 0.0030);
    vec2 h = creased.x * ends * vec2(0.7 * bulge - groove, groove);
    float brow = smoothstep(7.48, 7.56, p.y) * (1.0 - smoothstep(7.74, 7.86, p.y)) * (1.0 - smoothstep(0.35, 0.60, p.x));
    float line = 0.5 + 0.5 * sin((p.y + 0.03 * cos(p.x * 7.0)) * 78.0);
    line *= line * line;
    h += creased.y * brow * vec2(-line, 0.5 * line);
    vec2 q = p.xy - vec2(0.50, 7.275);
    float slope = q.y / max(q.x, 0.01);
    float corner = smoothstep(0.02, 0.07, q.x) * (1.0 - smoothstep(0.10, 0.20, q.x)) * (1.0 - smoothstep(0.45, 0.9, abs(slope)));
    float ray = 0.5 + 0.5 * cos(slope * 14.0);
    ray *= ray * ray;
    return h + creased.z * corner * vec2(-0.6 * ray, 0.5 * ray);
}

void main() {
    if (below_neckline(rest) > 0.16) discard;   // the clothes cover it
    vec3 n = normalize(normal), v = normalize(eye - position);
    vec4 base = texture(albedo_map, uv);
    vec4 fine = texture(detail_map, uv * 9.0);
    vec4 pore = texture(detail_map, uv * 23.0);
    float lips = smoothstep(0.25, 0.75, mask.x + (fine.r - 0.5) * 0.25);
    float cavity = smoothstep(0.3, 0.8, mask.z);
    vec3 albedo = base.rgb * base.rgb;
    albedo *= 1.0 + painted * ((fine.a - 0.5) * 0.22 + (pore.g - 0.5) * 0.16 * (1.0 - lips));
    float lines = mask.x > 0.01 ? textureLod(detail_map, vec2(uv.y * 60.0, uv.x * 6.0), 1.0).r : 0.5;
    vec3 p = vec3(abs(rest.x), rest.yz);
    float flush = blush * (exp(-dot(p.xy - vec2(0.47, 6.93), p.xy - vec2(0.47, 6.93)) * 14.0) + 0.7 * exp(-dot(p - vec3(0.0, 6.93, 1.65), p - vec3(0.0, 6.93, 1.65)) * 25.0)) * smoothstep(0.6, 1.0, rest.z);
    float tired = exp(-dot((p.xy - vec2(0.30, 7.13)) * vec2(1.0, 2.2), (p.xy - vec2(0.30, 7.13)) * vec2(1.0, 2.2)) * 40.0) + 0.6 * exp(-dot(p.xy - vec2(0.2, 7.38), p.xy - vec2(0.2, 7.38)) * 60.0);
    albedo *= mix(vec3(1.0), vec3(1.05, 0.70, 0.68), clamp(flush, 0.0, 0.9));
    albedo *= mix(vec3(1.0), vec3(0.80, 0.70, 0.72), painted * 0.5 * clamp(tired, 0.0, 1.0) * step(0.6, rest.z));
    vec3 lip_albedo = mix(albedo, lip_colour, lip_strength) * (0.86 + 0.28 * lines);
    albedo = mix(albedo, lip_albedo, lips);
    vec2 crease = folds > 0.0 ? folds * fold(p) : vec2(0.0);
    albedo *= mix(vec3(1.0), vec3(0.74, 0.62, 0.60), clamp(0.55 * crease.y, 0.0, 1.0));
    float hair = 0.0;
    if (mask.y * stubble > 0.01) {
        float strokes = textureLod(detail_map, uv * 14.0, 0.5).b + 0.5 * textureLod(detail_map, uv * 7.0 + 0.31, 0.5).b;
        hair = clamp(mask.y * (0.42 + strokes), 0.0, 1.0);
    }
    albedo = mix(albedo, stubble_colour, clamp(hair * stubble, 0.0, 0.93));
    float grown = 0.0;
    if (mask.w * hairline > 0.01) {
        float strand = 0.5 * textureLod(detail_map, vec2(uv.y * 31.0, uv.x * 5.0), 0.5).r + 0.5 * textureLod(detail_map, vec2(uv.y * 83.0, uv.x * 11.0), 1.0).r;
        grown = hairline * smoothstep(0.10, 0.75, mask.w + (strand - 0.5) * 0.8);
        albedo = mix(albedo, hair_colour, 0.96 * grown);
    }
    albedo = mix(albedo, vec3(0.13, 0.032, 0.03), cavity);

    float height = (pore.g - 0.5) * 0.5 + (fine.r - 0.5) * 0.7 + (lines - 0.5) * 1.4 * lips + base.a * 2.0 + hair * stubble + 5.0 * crease.x;
    vec3 dx = dFdx(position), dy = dFdy(position);
    vec3 r1 = cross(dy, n), r2 = cross(n, dx);
    float det = dot(dx, r1);
    vec3 gradient = sign(det) * (dFdx(height) * r1 + dFdy(height) * r2);
    vec3 bumped = normalize(abs(det) * n - relief * gradient);

    float soft = 1.0 - 0.6 * hair * stubble;
    vec3 wrap = vec3(0.30, 0.13, 0.08) * soft;
    vec3 key = key_colour * wrapped(dot(mix(n, bumped, 0.6), key_direction), wrap) * visible_key(light.y, soft);
    vec3 fill = fill_colour * wrapped(dot(bumped, fill_direction), wrap) * light.w;
    vec3 rim = rim_colour * wrapped(dot(n, rim_direction), wrap * 0.5) * light.x;
    float occlusion = light.x;
    vec3 around = ambient(bumped) * mix(vec3(occlusion), pow(vec3(occlusion), vec3(0.6, 0.95, 1.0)), 0.8);
    vec3 c = albedo * (key + fill + rim + around);
    float rough = mix(mix(0.46, 0.36, clamp(gloss - 0.6, 0.0, 1.0)), 0.30, lips);
    float strength = mix(gloss * (0.75 + 0.5 * fine.r) * (1.0 - 0.6 * hair * stubble) * (1.0 - 0.8 * grown), lip_gloss, lips);
    float s = (ggx(bumped, v, key_direction, rough) * 0.7 + ggx(bumped, v, key_direction, rough * 1.6) * 0.5) * light.y;
    vec3 shine = key_colour * s + fill_colour * ggx(bumped, v, fill_direction, rough) * light.w
               + rim_colour * ggx(n, v, rim_direction, rough * 1.3) * light.x
               + ambient(reflect(-v, bumped)) * (0.02 + 0.20 * pow(1.0 - max(dot(bumped, v), 0.0), 4.0)) * occlusion;
    c += shine * strength * 1.7;
    float depth = (mouth_centre.z - position.z);
    float inside = clamp(mask.z * 1.15, 0.0, 1.0) * smoothstep(-0.02, 0.05 + 0.55 * mouth_open, depth);
    c *= mix(1.0, 0.04, inside);
    colour = vec4(camera(c), 1.0);
}
