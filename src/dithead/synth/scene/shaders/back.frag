#version 330
uniform sampler2D albedo_map;
uniform vec4 window;   // scale and shift of the background picture, for the motion of the camera
in vec2 uv;
out vec4 colour;
void main() { colour = vec4(texture(albedo_map, uv * window.xy + window.zw).rgb, 1.0); }
