// How far below the neckline (height, drop at the front, pointedness, unused) a point of the neutral body lies.
float below_neckline(vec3 p) {
    float front = smoothstep(-0.2, 0.9, p.z);
    float v_shape = mix(1.0 - smoothstep(0.0, 0.75, abs(p.x)), max(0.0, 1.0 - abs(p.x) * 1.9), neckline.z);
    float chin = step(0.86, p.z) * step(5.98, p.y);
    return mix(neckline.x - neckline.y * front * v_shape - p.y, -1.0, chin);
}
