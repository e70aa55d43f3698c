// A table of text: columns as wide as they need, the flexible ones share what is left.
//
//	struct table table;
//	table_init(&table, style, columns, ARRAY_COUNT(columns));
//	table_cell(&table, "12.0 MiB");             // cell by cell, row by row
//	table_cell(&table, "main.cache");
//	err = table_print(&table, &text);
//	table_deinit(&table);
//
// Running out of memory is remembered; table_print reports it.
#ifndef OUTPUT_TABLE_H
#define OUTPUT_TABLE_H

#include "base/error.h"
#include "base/text.h"
#include "heapwhy/arena.h"
#include "heapwhy/vector.h"
#include "output/style.h"

struct table_column {
	const char *title;
	bool right;    // numbers
	unsigned flex; // 0: as wide as its widest cell; else its share when the table is too wide
	bool dim;      // shown faint
};

struct table {
	const struct style *style;
	const struct table_column *columns;
	unsigned column_count;
	struct hw_arena arena;
	HW_VECTOR(const char *) cells;
	bool failed;
};

void table_init(struct table *table, const struct style *style, const struct table_column *columns,
	unsigned column_count);
void table_deinit(struct table *table);

// Copies `content`, which must be clean.
void table_cell(struct table *table, const char *content);

struct error *table_print(struct table *table, struct text *text);

#endif
