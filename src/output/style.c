// How text is to look. See style.h.
#include "output/style.h"

static const char *escape(const struct style *style, const char *sequence)
{
	return style->color ? sequence : "";
}

const char *style_bold(const struct style *style)
{
	return escape(style, "\033[1m");
}

const char *style_dim(const struct style *style)
{
	return escape(style, "\033[2m");
}

const char *style_good(const struct style *style)
{
	return escape(style, "\033[32m");
}

const char *style_warn(const struct style *style)
{
	return escape(style, "\033[33m");
}

const char *style_strong(const struct style *style)
{
	return escape(style, "\033[1;31m");
}

const char *style_reset(const struct style *style)
{
	return escape(style, "\033[0m");
}

const char *style_arrow(const struct style *style)
{
	return style->utf8 ? "→" : "->";
}

const char *style_arrow_back(const struct style *style)
{
	return style->utf8 ? "←" : "<-";
}

const char *style_times(const struct style *style)
{
	return style->utf8 ? "×" : "x";
}

const char *style_ellipsis(const struct style *style)
{
	return style->utf8 ? "…" : "...";
}

const char *style_dot(const struct style *style)
{
	return style->utf8 ? "·" : "|";
}
