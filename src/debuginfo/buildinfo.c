// Go's build information.
//
// The linker puts a 32-byte header, aligned to 16, into the data segment
// (src/debug/buildinfo/buildinfo.go):
//
//	0   \xff " Go buildinf:"
//	14  pointer size
//	15  flags: 1 = big endian, 2 = the strings follow inline (go 1.18 on)
//	16  to go 1.17: addresses of two Go string headers, version and module text
//	32  from go 1.18: the same two strings, each after its length as a varint
//
// The magic text also occurs in programs that read build information themselves, so a candidate
// counts only when its version reads like one.
//
// Some distributors cut the header out (npm's esbuild from 0.26 on). Then the version is still in
// runtime.buildVersion, a string variable that the linker fills in (cmd/link/internal/ld/main.go):
// the only variable of the program's data that is a Go string which as a whole is a version.
#include "debuginfo/buildinfo.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/arena.h"
#include "heapwhy/vector.h"

enum {
	HEADER_SIZE = 32,
	ALIGNMENT = 16,
	CHUNK = 256 << 10,
	SEARCHED_MAX = 1 << 30, // bytes of one mapping that are searched
	VERSION_MAX = 256,
	MODULES_MAX = 4 << 20, // bytes of module text; large programs have a hundred kilobytes
	SENTINEL = 16, // cmd/go puts a marker of so many bytes before and after the module text
	FLAG_BIG_ENDIAN = 1,
	FLAG_INLINE = 2,
	POINTER_SIZE = 8,
};

static const char magic[14] = "\xff Go buildinf:";

struct build {
	struct buildinfo info; // first: the pointer to it is the pointer to this
	struct hw_arena arena;
};

struct span_text {
	const char *bytes;
	size_t length;
};

void buildinfo_destroy(struct buildinfo *info)
{
	if (!info)
		return;
	struct build *build = (struct build *)info;
	hw_arena_deinit(&build->arena);
	free(build);
}

const char *buildinfo_setting(const struct buildinfo *info, const char *key)
{
	for (size_t i = 0; i < info->setting_count; i++) {
		if (strcmp(info->settings[i].key, key) == 0)
			return info->settings[i].value;
	}
	return NULL;
}

bool buildinfo_godebug(const struct buildinfo *info, const char *key, char *buffer, size_t size)
{
	const char *list = buildinfo_setting(info, "DefaultGODEBUG");
	size_t length = strlen(key);

	while (list && *list) {
		size_t item = strcspn(list, ",");
		if (item > length && list[length] == '=' && strncmp(list, key, length) == 0) {
			snprintf(buffer, size, "%.*s", (int)(item - length - 1), list + length + 1);
			return true;
		}
		list += item + (list[item] == ',');
	}
	return false;
}

static bool version_is_plausible(const char *version)
{
	for (const char *c = version; *c; c++) {
		if (*c < ' ' || *c > '~')
			return false;
	}
	return strncmp(version, "go1", 3) == 0 || strncmp(version, "devel ", 6) == 0;
}

// Reads `length` bytes of the target as a string into the arena. NULL: unreadable, or out of
// memory.
static char *string_read(struct build *build, struct target *target, remote_addr address,
	uint64_t length, size_t max)
{
	if (length > max)
		return NULL;
	char *string = hw_arena_alloc(&build->arena, length + 1);
	if (!string || target_read_sparse(target, address, string, length) != 0)
		return NULL;
	string[length] = '\0';
	return string;
}

// A string after its length as a varint; `address` moves past it.
static char *inline_string_read(struct build *build, struct target *target, remote_addr *address,
	size_t max, uint64_t *length)
{
	uint8_t prefix[10];
	size_t unread = target_read_sparse(target, *address, prefix, sizeof(prefix));

	*length = 0;
	for (size_t i = 0; i < sizeof(prefix) - unread; i++) {
		*length |= (uint64_t)(prefix[i] & 0x7f) << (7 * i);
		if (prefix[i] & 0x80)
			continue;
		char *string = string_read(build, target, *address + i + 1, *length, max);
		*address += i + 1 + *length;
		return string;
	}
	return NULL;
}

// The string whose Go header (address, length) lies at `header`.
static char *pointed_string_read(struct build *build, struct target *target, remote_addr header,
	size_t max, uint64_t *length)
{
	uint64_t words[2];

	if (target_read_sparse(target, header, words, sizeof(words)) != 0)
		return NULL;
	*length = words[1];
	return string_read(build, target, words[0], words[1], max);
}

// Reads version and module text behind the header at `address`. False when this is not build
// information after all.
static bool candidate_read(struct build *build, struct target *target, remote_addr address,
	const uint8_t *header, struct span_text *modules)
{
	uint64_t version_length, length = 0;
	char *version, *text;

	if (header[15] & FLAG_INLINE) {
		remote_addr at = address + HEADER_SIZE;
		version = inline_string_read(build, target, &at, VERSION_MAX, &version_length);
		text = version ? inline_string_read(build, target, &at, MODULES_MAX, &length)
			       : NULL;
	} else {
		uint64_t words[2];
		if (header[14] != POINTER_SIZE || header[15] & FLAG_BIG_ENDIAN)
			return false;
		memcpy(words, header + 16, sizeof(words));
		version =
			pointed_string_read(build, target, words[0], VERSION_MAX, &version_length);
		text = pointed_string_read(build, target, words[1], MODULES_MAX, &length);
	}
	if (!version || !version_is_plausible(version))
		return false;
	build->info.go_version = version;
	// The text is enclosed in markers, and its last line ends before the second one.
	if (text && length >= 2 * SENTINEL + 1 && text[length - SENTINEL - 1] == '\n')
		*modules = (struct span_text){text + SENTINEL, length - 2 * SENTINEL};
	return true;
}

// Cuts the next field off `line`, ended by `separator` or the line's end, as a string in the arena.
static const char *field_take(struct build *build, struct span_text *line, char separator)
{
	const char *end = memchr(line->bytes, separator, line->length);
	size_t length = end ? (size_t)(end - line->bytes) : line->length;
	char *field = hw_arena_strndup(&build->arena, line->bytes, length);
	size_t consumed = length + (end != NULL);

	line->bytes += consumed;
	line->length -= consumed;
	return field ? field : "";
}

// Undoes Go's quoting of settings with odd characters (strconv.Quote): \" \\ \n \t suffice, others
// stay as written.
static char *unquote(struct build *build, struct span_text *line)
{
	char *out = hw_arena_alloc(&build->arena, line->length + 1);
	size_t length = 0, i = 1;

	if (!out)
		return NULL;
	for (; i < line->length && line->bytes[i] != '"'; i++) {
		char c = line->bytes[i];
		if (c == '\\' && i + 1 < line->length && strchr("\"\\nt", line->bytes[i + 1])) {
			c = line->bytes[++i];
			c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
		}
		out[length++] = c;
	}
	out[length] = '\0';
	if (i < line->length)
		i++;
	line->bytes += i;
	line->length -= i;
	return out;
}

static struct build_setting setting_parse(struct build *build, struct span_text line)
{
	struct build_setting setting = {"", ""};

	if (line.length && line.bytes[0] == '"') {
		setting.key = unquote(build, &line);
		if (line.length && line.bytes[0] == '=') {
			line.bytes++;
			line.length--;
		}
	} else {
		setting.key = field_take(build, &line, '=');
	}
	if (line.length && line.bytes[0] == '"')
		setting.value = unquote(build, &line);
	else
		setting.value = field_take(build, &line, '\n');
	setting.key = setting.key ? setting.key : "";
	setting.value = setting.value ? setting.value : "";
	return setting;
}

static struct build_module module_parse(struct build *build, struct span_text line)
{
	struct build_module module = {0};

	module.path = field_take(build, &line, '\t');
	module.version = field_take(build, &line, '\t');
	module.sum = field_take(build, &line, '\t');
	return module;
}

typedef HW_VECTOR(struct build_module) module_vector;
typedef HW_VECTOR(struct build_setting) setting_vector;

// Takes the array over into the arena, so that one deinit frees everything.
static void *array_keep(struct build *build, const void *items, size_t count, size_t size)
{
	void *copy = hw_arena_calloc(&build->arena, count, size);

	if (copy && count)
		memcpy(copy, items, count * size);
	return copy;
}

// One line of the module text: "path\tP", "mod\tP\tV\tS", "dep\tP\tV\tS", "=>\tP\tV\tS" (replaces
// the module of the line before), "build\tK=V".
static bool line_parse(struct build *build, struct span_text line, module_vector *modules,
	setting_vector *settings)
{
	const char *kind = field_take(build, &line, '\t');

	if (strcmp(kind, "path") == 0) {
		build->info.main_path = field_take(build, &line, '\t');
	} else if (strcmp(kind, "mod") == 0) {
		build->info.main = module_parse(build, line);
	} else if (strcmp(kind, "dep") == 0) {
		return hw_vector_push(modules, module_parse(build, line));
	} else if (strcmp(kind, "=>") == 0) {
		struct build_module replacement = module_parse(build, line);
		struct build_module *replaced =
			modules->count ? &modules->items[modules->count - 1] : &build->info.main;
		replaced->replacement = array_keep(build, &replacement, 1, sizeof(replacement));
	} else if (strcmp(kind, "build") == 0) {
		return hw_vector_push(settings, setting_parse(build, line));
	}
	return true;
}

static struct error *modules_parse(struct build *build, struct span_text text)
{
	module_vector modules = HW_VECTOR_INIT;
	setting_vector settings = HW_VECTOR_INIT;
	bool ok = true;

	while (ok && text.length) {
		const char *end = memchr(text.bytes, '\n', text.length);
		size_t length = end ? (size_t)(end - text.bytes) : text.length;
		ok = line_parse(build, (struct span_text){text.bytes, length}, &modules, &settings);
		text.bytes += length + (end != NULL);
		text.length -= length + (end != NULL);
	}
	struct buildinfo *info = &build->info;
	info->dependencies =
		array_keep(build, modules.items, modules.count, sizeof(*modules.items));
	info->settings = array_keep(build, settings.items, settings.count, sizeof(*settings.items));
	if (info->dependencies && info->settings) {
		info->dependency_count = modules.count;
		info->setting_count = settings.count;
	} else {
		ok = false;
	}
	hw_vector_deinit(&modules);
	hw_vector_deinit(&settings);
	return ok ? NULL : error_no_memory();
}

// Whether `version` as a whole is a released version of Go, with experiments perhaps: "go1.26.5",
// "go1.27rc1", "go1.25.3 X:greenteagc".
static bool version_is_exact(const char *version)
{
	if (strncmp(version, "go1.", 4) != 0 || strspn(version + 4, "0123456789") == 0)
		return false;
	const char *end = version + 4 + strspn(version + 4, ".0123456789");
	if (strncmp(end, "rc", 2) == 0)
		end += 2 + strspn(end + 2, "0123456789");
	return end[-1] != '.' &&
	       (*end == '\0' || strncmp(end, " X:", 3) == 0 || strncmp(end, "-X:", 3) == 0);
}

// Looks for runtime.buildVersion in `size` bytes of data: a Go string (address, length) in constant
// data. True when found.
static bool version_variable_search(
	struct build *build, struct target *target, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 16 <= size; i += 8) {
		uint64_t words[2];
		char version[VERSION_MAX];
		memcpy(words, data + i, sizeof(words));
		if (words[1] < strlen("go1.1") || words[1] >= sizeof(version))
			continue;
		const struct region *region = target_region(target, words[0]);
		if (!region || !region->is_exe || region->writable ||
			target_read_sparse(target, words[0], version, words[1]) != 0)
			continue;
		version[words[1]] = '\0';
		if (strlen(version) == words[1] && version_is_exact(version)) {
			build->info.go_version = hw_arena_strndup(&build->arena, version, words[1]);
			return build->info.go_version;
		}
	}
	return false;
}

// A damaged program can claim mappings of any size.
static remote_addr search_end(const struct region *region)
{
	uint64_t size = region->end - region->start;

	return region->start + (size < SEARCHED_MAX ? size : SEARCHED_MAX);
}

// Looks for the header in one mapping. True when found.
static bool header_search(struct build *build, struct target *target, const struct region *region,
	uint8_t *buffer, struct span_text *modules)
{
	remote_addr end = search_end(region);

	for (remote_addr at = region->start; at < end; at += CHUNK) {
		size_t size = end - at < CHUNK ? end - at : CHUNK;
		target_read_sparse(target, at, buffer, size);
		for (size_t i = 0; i + HEADER_SIZE <= size; i += ALIGNMENT) {
			if (memcmp(buffer + i, magic, sizeof(magic)) == 0 &&
				candidate_read(build, target, at + i, buffer + i, modules))
				return true;
		}
	}
	return false;
}

// The same for runtime.buildVersion.
static bool variable_search(
	struct build *build, struct target *target, const struct region *region, uint8_t *buffer)
{
	remote_addr end = search_end(region);

	for (remote_addr at = region->start; at < end; at += CHUNK) {
		size_t size = end - at < CHUNK ? end - at : CHUNK;
		target_read_sparse(target, at, buffer, size);
		if (version_variable_search(build, target, buffer, size))
			return true;
	}
	return false;
}

static bool target_search(
	struct build *build, struct target *target, uint8_t *buffer, struct span_text *modules)
{
	// The data segment first: that is where it is, unless an unusual linker script moved it.
	for (int writable = 1; writable >= 0; writable--) {
		for (size_t i = 0; i < target->region_count; i++) {
			const struct region *region = &target->regions[i];
			if (region->is_exe && region->readable && region->writable == writable &&
				header_search(build, target, region, buffer, modules))
				return true;
		}
	}
	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];
		if (region->is_exe && region->readable && region->writable &&
			variable_search(build, target, region, buffer))
			return true;
	}
	return false;
}

struct error *buildinfo_read(struct target *target, struct buildinfo **out)
{
	struct span_text modules = {0};
	_cleanup_free_ uint8_t *buffer = malloc(CHUNK);
	struct build *build = calloc(1, sizeof(*build));

	if (!buffer || !build) {
		free(build);
		return error_no_memory();
	}
	hw_arena_init(&build->arena, 4096);
	build->info.main_path = "";
	build->info.main = (struct build_module){"", "", "", NULL};

	struct error *err = NULL;
	if (!target_search(build, target, buffer, &modules))
		err = error_create(ERROR_TARGET,
			"not a Go program: its executable carries no Go build information");
	else
		err = modules_parse(build, modules);
	if (err) {
		buildinfo_destroy(&build->info);
		return err;
	}
	*out = &build->info;
	return NULL;
}
