#version 330
uniform mat4 view_projection;
in vec3 in_position;
in vec2 in_uv;
out vec2 uv;
void main() { uv = in_uv; gl_Position = view_projection * vec4(in_position, 1.0); }
