// goruntime/code_use: what small functions in machine code look at of what their closure captured, or their frame holds.
#include "test.h"

#include "goruntime/code_use.h"
#include "pclntab_image.h"
#include "target/image.h"

enum { CODE_BYTES = 0x40, DAMAGED = 20000 };

#define TEXT PCLNTAB_IMAGE_TEXT

struct program {
	struct go_runtime runtime;
	struct go_module module;
	struct code_uses *uses;
	const struct code_use *use; // of a closure whose code is the program's first function
};

static void program_open(
	struct program *program, const uint8_t *code, size_t size, unsigned results)
{
	struct region text = {
		.start = TEXT, .end = TEXT + CODE_BYTES + 0x10, .readable = true, .path = "[text]"};
	uint8_t bytes[CODE_BYTES + 0x10];
	struct pclntab_location location;
	size_t image_size;
	_cleanup_free_ uint8_t *image = pclntab_image(true, &image_size);

	*program = (struct program){.runtime = {.modules = &program->module, .module_count = 1}};
	assert_non_null(image);
	assert_true(size <= CODE_BYTES);
	memset(bytes, 0xcc, sizeof(bytes));
	memcpy(bytes, code, size);
	assert_true(pclntab_image_open(image, image_size, &program->runtime.target, &location));
	assert_success(image_add(program->runtime.target, &text, bytes));
	program->module.min_pc = TEXT;
	program->module.max_pc = text.end;
	assert_success(
		pclntab_create(program->runtime.target, &location, &program->module.pclntab));
	assert_success(code_uses_create(&program->runtime, &program->uses));
	assert_success(code_use_of_closure(program->uses, TEXT, results, &program->use));
}

static void program_close(struct program *program)
{
	code_uses_destroy(program->uses);
	pclntab_destroy(program->module.pclntab);
	target_destroy(program->runtime.target);
}

// The node of the word at `word` of node `parent`; NULL when no such word is followed.
static const struct use_node *node_of(const struct code_use *use, uint32_t parent, uint32_t word)
{
	for (uint32_t i = 1; i < use->count; i++)
		if (use->nodes[i].parent == parent && use->nodes[i].word == word)
			return &use->nodes[i];
	return NULL;
}

static bool sees(const struct use_node *node, uint32_t offset, uint32_t count, bool elements)
{
	for (uint32_t i = 0; i < node->window_count; i++)
		if (node->windows[i].offset == offset && node->windows[i].count == count &&
			node->windows[i].elements == elements)
			return true;
	return false;
}

#define OPEN(program, results, ...)                           \
	program_open(program, (const uint8_t[]){__VA_ARGS__}, \
		sizeof((const uint8_t[]){__VA_ARGS__}), results)

static void one_byte(void **state)
{
	struct program program;

	OPEN(&program, 1, 0x48, 0x8b, 0x4a, 0x08, // mov rcx, [rdx + 8]
		0x0f, 0xb6, 0x41, 0x03,           // movzx eax, byte [rcx + 3]
		0xc3);
	assert_non_null(program.use);
	assert_int_equal(program.use->count, 2);
	assert_false(program.use->nodes[0].whole);
	assert_true(sees(&program.use->nodes[0], 8, 8, false));
	const struct use_node *data = node_of(program.use, 0, 8);
	assert_non_null(data);
	assert_false(data->whole);
	assert_int_equal(data->window_count, 1);
	assert_true(sees(data, 3, 1, false));
	program_close(&program);
}

// What any of so many registers may return is given away, and the rest is not.
static void returned(void **state)
{
	struct program program;
	static const uint8_t code[] = {
		0x48,
		0x8b,
		0x42,
		0x08, // mov rax, [rdx + 8]
		0x48,
		0x8b,
		0x5a,
		0x10, // mov rbx, [rdx + 16]
		0xc3,
	};

	program_open(&program, code, sizeof(code), 1);
	assert_true(node_of(program.use, 0, 8)->whole);
	assert_false(node_of(program.use, 0, 16)->whole);
	program_close(&program);
	program_open(&program, code, sizeof(code), 0);
	assert_false(node_of(program.use, 0, 8)->whole);
	program_close(&program);
}

static void constant_length(void **state)
{
	struct program program;

	OPEN(&program, 3, 0x48, 0x8b, 0x4a, 0x08, // mov rcx, [rdx + 8]
		0x48, 0x8b, 0x72, 0x18,           // mov rsi, [rdx + 24]
		0x48, 0x83, 0xfe, 0x0a,           // cmp rsi, 10
		0x72, 0x0d,                       // jb ud2
		0x48, 0x89, 0xc8,                 // mov rax, rcx
		0xbb, 0x0a, 0x00, 0x00, 0x00,     // mov ebx, 10
		0x48, 0x89, 0xf1,                 // mov rcx, rsi
		0xc3, 0x90,                       // ret, nop
		0x0f, 0x0b);                      // ud2
	const struct use_node *data = node_of(program.use, 0, 8);
	assert_non_null(data);
	assert_false(data->whole);
	assert_true(sees(data, 0, 10, true));
	program_close(&program);
}

static void variable_index(void **state)
{
	struct program program;

	OPEN(&program, 1, 0x48, 0x8b, 0x4a, 0x08, // mov rcx, [rdx + 8]
		0x0f, 0xb6, 0x04, 0x19,           // movzx eax, byte [rcx + rbx]
		0xc3);
	assert_true(node_of(program.use, 0, 8)->whole);
	assert_false(program.use->nodes[0].whole);
	program_close(&program);
}

// An unknown function gets what is in the registers of arguments, and only that.
static void unknown_call(void **state)
{
	struct program program;

	OPEN(&program, 0, 0x48, 0x8b, 0x5a, 0x08, // mov rbx, [rdx + 8]
		0x4c, 0x8b, 0x62, 0x10,           // mov r12, [rdx + 16]
		0x31, 0xd2,                       // xor edx, edx
		0xff, 0xd0,                       // call rax
		0xc3);
	assert_true(node_of(program.use, 0, 8)->whole);
	assert_false(node_of(program.use, 0, 16)->whole);
	program_close(&program);
}

static void stored(void **state)
{
	struct program program;

	OPEN(&program, 0, 0x48, 0x8b, 0x4a, 0x08, // mov rcx, [rdx + 8]
		0x48, 0x8b, 0x5a, 0x10,           // mov rbx, [rdx + 16]
		0x48, 0x89, 0x0b,                 // mov [rbx], rcx
		0xc3);
	assert_true(node_of(program.use, 0, 8)->whole);
	assert_false(node_of(program.use, 0, 16)->whole);
	assert_true(sees(node_of(program.use, 0, 16), 0, 8, false));
	program_close(&program);
}

static void spilled(void **state)
{
	struct program program;

	OPEN(&program, 1, 0x55,               // push rbp
		0x48, 0x83, 0xec, 0x10,       // sub rsp, 16
		0x48, 0x8b, 0x4a, 0x08,       // mov rcx, [rdx + 8]
		0x48, 0x89, 0x4c, 0x24, 0x08, // mov [rsp + 8], rcx
		0x31, 0xc9,                   // xor ecx, ecx
		0x48, 0x8b, 0x44, 0x24, 0x08, // mov rax, [rsp + 8]
		0x48, 0x8b, 0x40, 0x10,       // mov rax, [rax + 16]
		0x48, 0x83, 0xc4, 0x10,       // add rsp, 16
		0x5d, 0xc3);                  // pop rbp, ret
	assert_false(node_of(program.use, 0, 8)->whole);
	assert_non_null(node_of(program.use, 1, 16));
	assert_true(node_of(program.use, 1, 16)->whole);
	program_close(&program);
}

// data[:10] goes to an interface's method, whose code comes from the itab. The array's address is in RDX, too: of a call of
// a func value, whose code is the first word of what RDX points to, that were the closure.
static void given_to_a_method(void **state)
{
	struct program program;

	OPEN(&program, 0, 0x48, 0x8b, 0x52, 0x08, // mov rdx, [rdx + 8]
		0x48, 0x8b, 0x70, 0x18,           // mov rsi, [rax + 24]
		0x48, 0x89, 0xd8,                 // mov rax, rbx
		0x48, 0x89, 0xd3,                 // mov rbx, rdx
		0xb9, 0x0a, 0x00, 0x00, 0x00,     // mov ecx, 10
		0xff, 0xd6,                       // call rsi
		0xc3);
	const struct use_node *data = node_of(program.use, 0, 8);
	assert_non_null(data);
	assert_false(data->whole);
	program_close(&program);

	OPEN(&program, 0, 0x48, 0x8b, 0x52, 0x08, // mov rdx, [rdx + 8]
		0x48, 0x8b, 0x32,                 // mov rsi, [rdx]
		0xff, 0xd6,                       // call rsi
		0xc3);
	data = node_of(program.use, 0, 8);
	assert_non_null(data);
	assert_true(data->whole);
	program_close(&program);
}

// A list is followed for a few elements, and then taken for looked at as a whole.
static void loop(void **state)
{
	struct program program;

	OPEN(&program, 0, 0x48, 0x8b, 0x4a, 0x08, // mov rcx, [rdx + 8]
		0x48, 0x8b, 0x09,                 // mov rcx, [rcx]
		0x48, 0x85, 0xc9,                 // test rcx, rcx
		0x75, 0xf8,                       // jne back
		0xc3);
	bool whole = false;
	assert_non_null(program.use);
	for (uint32_t i = 0; i < program.use->count; i++)
		whole |= program.use->nodes[i].whole;
	assert_true(whole);
	program_close(&program);
}

// What two slots of a frame lead to, which waits for the call.
static void held_by_a_frame(void **state)
{
	struct program program;
	const struct code_use *use;
	// The frame is 16 bytes, and the arguments begin behind the return address.
	struct frame frame = {.sp = 0x1000, .fp = 0x1018};
	const remote_addr slots[] = {0x1000, 0x1008};

	OPEN(&program, 0, 0x48, 0x83, 0xec, 0x10, // sub rsp, 16
		0x48, 0x8b, 0x1c, 0x24,           // mov rbx, [rsp]
		0xe8, 0xf3, 0xff, 0xff, 0xff,     // call of itself, which is not followed
		0x48, 0x8b, 0x54, 0x24, 0x08,     // mov rdx, [rsp + 8]
		0x0f, 0xb6, 0x42, 0x03,           // movzx eax, byte [rdx + 3]
		0x48, 0x83, 0xc4, 0x10,           // add rsp, 16
		0xc3);
	frame.pc = TEXT + 12; // the call's last byte
	assert_success(code_use_of_frame(program.uses, FRAME_WAKES, &frame, slots, 2, &use));
	assert_non_null(use);
	assert_int_equal(use->first, 2);
	assert_false(use->nodes[0].whole); // that was before
	assert_int_equal(use->nodes[0].window_count, 0);
	assert_false(use->nodes[1].whole);
	assert_true(sees(&use->nodes[1], 3, 1, false));

	frame.pc = TEXT + 3; // before the call
	assert_success(code_use_of_frame(program.uses, FRAME_WAKES, &frame, slots, 2, &use));
	assert_non_null(use);
	assert_true(use->nodes[0].whole);

	frame.flags = FRAME_INNERMOST;
	assert_success(code_use_of_frame(program.uses, FRAME_WAKES, &frame, slots, 2, &use));
	assert_null(use);
	program_close(&program);
}

static void not_understood(void **state)
{
	struct program program;

	OPEN(&program, 0, 0xff, 0xe0); // jmp rax
	assert_null(program.use);
	program_close(&program);
	OPEN(&program, 0, 0x06); // no instruction
	assert_null(program.use);
	program_close(&program);
	OPEN(&program, 0, 0xc3);
	assert_success(code_use_of_closure(program.uses, TEXT + 1, 0, &program.use)); // no function
	assert_null(program.use);
	program_close(&program);
}

// Instructions that follow one another in any order, with jumps to anywhere: it comes to an end.
static void damaged(void **state)
{
	static const uint8_t pool[][5] = {
		{0x48, 0x8b, 0x4a, 0x08, 0x90}, // mov rcx, [rdx + 8]
		{0x48, 0x8b, 0x49, 0x10, 0x90}, // mov rcx, [rcx + 16]
		{0x48, 0x89, 0x4c, 0x24, 0x08}, // mov [rsp + 8], rcx
		{0x48, 0x8b, 0x54, 0x24, 0x08}, // mov rdx, [rsp + 8]
		{0x48, 0x83, 0xec, 0x10, 0x90}, // sub rsp, 16
		{0x48, 0x83, 0xc1, 0x7f, 0x90}, // add rcx, 127
		{0x48, 0x8d, 0x0c, 0x11, 0x90}, // lea rcx, [rcx + rdx]
		{0x48, 0x0f, 0x44, 0xca, 0x90}, // cmove rcx, rdx
		{0x48, 0x87, 0x0a, 0x90, 0x90}, // xchg [rdx], rcx
		{0x0f, 0x10, 0x01, 0x90, 0x90}, // movups xmm0, [rcx]
		{0xe8, 0x00, 0x00, 0x00, 0x00}, // call
		{0x75, 0x00, 0x90, 0x90, 0x90}, // jne
		{0xeb, 0x00, 0x90, 0x90, 0x90}, // jmp
		{0xc3, 0x90, 0x90, 0x90, 0x90}, // ret
	};
	uint64_t random = 1;
	unsigned known = 0;

	for (unsigned i = 0; i < DAMAGED; i++) {
		struct program program;
		uint8_t code[CODE_BYTES];
		for (size_t at = 0; at < sizeof(code); at++) {
			random = random * 6364136223846793005 + 1442695040888963407;
			uint8_t some = (uint8_t)(random >> 56);
			if (at + sizeof(pool[0]) > sizeof(code) ||
				some < 4) { // now and then any byte
				code[at] = some;
				continue;
			}
			const uint8_t *instruction = pool[some % ARRAY_COUNT(pool)];
			memcpy(&code[at], instruction, sizeof(pool[0]));
			if (instruction[0] == 0x75 || instruction[0] == 0xeb ||
				instruction[0] == 0xe8)
				code[at + 1] =
					(uint8_t)(random >> 48) % CODE_BYTES - CODE_BYTES / 2;
			at += sizeof(pool[0]) - 1;
		}
		program_open(&program, code, sizeof(code), i % (USE_RESULTS_MAX + 1));
		known += program.use != NULL;
		if (program.use)
			assert_in_range(program.use->count, 1, USE_NODES_MAX);
		program_close(&program);
	}
	assert_true(known > 0 && known < DAMAGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_byte),
		cmocka_unit_test(returned),
		cmocka_unit_test(constant_length),
		cmocka_unit_test(variable_index),
		cmocka_unit_test(unknown_call),
		cmocka_unit_test(stored),
		cmocka_unit_test(spilled),
		cmocka_unit_test(given_to_a_method),
		cmocka_unit_test(loop),
		cmocka_unit_test(held_by_a_frame),
		cmocka_unit_test(not_understood),
		cmocka_unit_test(damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
