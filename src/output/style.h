// How text is to look: where it goes decides, not what it says.
#ifndef OUTPUT_STYLE_H
#define OUTPUT_STYLE_H

#include <stdbool.h>
#include <stddef.h>

struct style {
	unsigned width;  // columns
	bool color;      // ANSI colours and bold
	bool utf8;       // the locale can show ●, │ and bars
	unsigned top;    // rows a table, at most
	bool everything; // also rows that hardly matter
};

enum { STYLE_NARROWEST = 64, STYLE_WIDEST = 160 };

// Escape sequences, "" without colour.
const char *style_bold(const struct style *style);
const char *style_dim(const struct style *style);
const char *style_good(const struct style *style);   // green
const char *style_warn(const struct style *style);   // yellow
const char *style_strong(const struct style *style); // bold red: the one thing to look at
const char *style_reset(const struct style *style);

// Signs that exist in ASCII too.
const char *style_arrow(const struct style *style); // "→" or "->"
const char *style_arrow_back(const struct style *style);
const char *style_times(const struct style *style);    // "×" or "x"
const char *style_ellipsis(const struct style *style); // "…" or "..."
const char *style_dot(const struct style *style);      // "·" or "|"

#endif
