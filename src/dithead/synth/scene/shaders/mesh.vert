#version 330
// Vertex shader of every part. `follow` (light.z) blends the rotation of the head into the neck.
uniform mat4 view_projection;
uniform mat3 head_rotation;
uniform vec3 pivot;
uniform vec3 head_shift;
in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
in vec4 in_mask;
in vec4 in_light;   // ambient visibility, key visibility, follow, fill visibility
in vec3 in_rest;
out vec3 position;
out vec3 normal;
out vec3 rest;
out vec2 uv;
out vec4 mask;
out vec4 light;
void main() {
    vec3 turned = head_rotation * (in_position - pivot) + pivot + head_shift;
    position = mix(in_position, turned, in_light.z);
    normal = mix(in_normal, head_rotation * in_normal, in_light.z);
    uv = in_uv; mask = in_mask; light = in_light; rest = in_rest;
    gl_Position = view_projection * vec4(position, 1.0);
}
