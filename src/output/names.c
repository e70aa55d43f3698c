// Go's long names in little room. See names.h.
#include "output/names.h"

#include <limits.h>
#include <string.h>
#include <wchar.h>

#include "base/cleanup.h"

// Bytes of the character at `string` and its columns. Bytes that the locale cannot read count as
// one column each.
static size_t character(const char *string, unsigned *columns)
{
	mbstate_t state = {0};
	wchar_t wide;
	size_t length = mbrtowc(&wide, string, MB_LEN_MAX, &state);

	if (length == 0 || length == (size_t)-1 || length == (size_t)-2) {
		*columns = 1;
		return 1;
	}
	int width = wcwidth(wide);
	*columns = width < 0 ? 1 : (unsigned)width;
	return length;
}

unsigned display_width(const char *string)
{
	unsigned width = 0, columns;

	while (*string) {
		string += character(string, &columns);
		width += columns;
	}
	return width;
}

// The compiler calls type arguments of one shape by a hash of 64 digits when they are long: eight tell them apart.
static size_t shape_cut(const char *word, size_t length)
{
	static const char shape[] = "go.shape.";
	size_t head = sizeof(shape) - 1;

	return length >= head + 32 && !strncmp(word, shape, head) ? head + 8 : length;
}

void name_append_plain(struct text *text, const char *name)
{
	// A path starts where a name can start and ends at the last slash before the next such
	// place.
	static const char starts[] = "[](){}*, ;";
	const char *word = name;

	while (*word) {
		size_t length = strcspn(word, starts);
		const char *slash = memrchr(word, '/', length);
		const char *from = slash ? slash + 1 : word;
		text_append_bytes(text, from, shape_cut(from, length - (size_t)(from - word)));
		word += length;
		length = strspn(word, starts);
		text_append_bytes(text, word, length);
		word += length;
	}
}

bool name_is_map_part(const char *type)
{
	static const char *const prefixes[] = {"map.group[", "map.bucket[", "map.table["};
	const char *element = !strncmp(type, "[]", 2) ? type + 2 : type;
	size_t length = strlen(type);

	for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++)
		if (!strncmp(element, prefixes[i], strlen(prefixes[i])))
			return true;
	// typing's names for the parts that have no type of their own: "map[int]string (table)".
	return !strncmp(element, "map[", 4) && length && type[length - 1] == ')';
}

// The number of leading bytes that fit into `width` columns.
static size_t fitting_head(const char *string, unsigned width)
{
	size_t bytes = 0;
	unsigned columns;

	while (string[bytes]) {
		size_t length = character(string + bytes, &columns);
		if (columns > width)
			break;
		width -= columns;
		bytes += length;
	}
	return bytes;
}

void name_append_cut(
	struct text *text, const char *string, unsigned width, const struct style *style)
{
	unsigned whole = display_width(string), sign = style->utf8 ? 1 : 3;

	if (whole <= width) {
		text_append(text, string);
		return;
	}
	if (width <= sign + 2) {
		text_append_bytes(text, string, fitting_head(string, width));
		return;
	}
	// The tail says more (the method, the field), so it gets more.
	unsigned head = (width - sign) * 2 / 5, tail = width - sign - head;
	text_append_bytes(text, string, fitting_head(string, head));
	text_append(text, style_ellipsis(style));
	text_append(text, string + fitting_head(string, whole - tail));
}

// Columns of the first `length` bytes, which may contain the escape sequences of style.h.
static unsigned styled_width(const char *string, size_t length)
{
	unsigned width = 0, columns;

	for (size_t i = 0; i < length;) {
		if (string[i] == '\033') {
			while (i < length && string[i] != 'm')
				i++;
			i++;
			continue;
		}
		i += character(string + i, &columns);
		width += columns;
	}
	return width;
}

void sentence_append(struct text *text, const char *sentence, const struct style *style)
{
	unsigned column = 0;

	while (*sentence) {
		size_t length = strcspn(sentence, " ");
		unsigned width = styled_width(sentence, length);
		if (column && column + 1 + width > style->width) {
			text_append(text, "\n  ");
			column = 2;
		} else if (column) {
			text_append_char(text, ' ');
			column++;
		}
		// The sentences of rules do not know what the terminal can show.
		if (length == strlen("×") && !memcmp(sentence, "×", length))
			text_append(text, style_times(style));
		else
			text_append_bytes(text, sentence, length);
		column += width;
		sentence += length + strspn(sentence + length, " ");
	}
	text_append_char(text, '\n');
}
