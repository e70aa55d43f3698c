// What Go's linker wrote down about the build: version, modules, settings.
//
// It is read from the target's memory, so it is there when the file is gone, and in stripped
// binaries. Every string is the target's word: escape it before it meets a terminal.
//
//	struct buildinfo *info;
//	struct error *err = buildinfo_read(target, &info);
//	const char *race = buildinfo_setting(info, "-race");      // "true", or NULL
//	buildinfo_destroy(info);
#ifndef DEBUGINFO_BUILDINFO_H
#define DEBUGINFO_BUILDINFO_H

#include "target/target.h"

struct build_module {
	const char *path, *version, *sum;       // "" when not given
	const struct build_module *replacement; // of the `replace` directive, or NULL
};

struct build_setting {
	const char *key, *value;
};

struct buildinfo {
	const char *go_version;   // as the linker wrote it: "go1.26.11", "go1.25.3 X:greenteagc",
				  // "devel go1.27-..."
	const char *main_path;    // import path of the main package, "" when unknown
	struct build_module main; // the main module; all "" when unknown
	struct build_module *dependencies;
	size_t dependency_count;
	struct build_setting *settings; // "-race", "-ldflags", "CGO_ENABLED", "DefaultGODEBUG",
					// "vcs.revision", ...
	size_t setting_count;
};

// ERROR_TARGET when the executable's mappings hold neither build information nor, where that was
// cut out, the runtime's version variable: then the target is not a Go program. From the variable
// alone only go_version is known.
//
// Note what is not in there: the go directive of go.mod. Where it is older than the toolchain, the
// settings that follow from it are in DefaultGODEBUG (from go 1.21 on).
struct error *buildinfo_read(struct target *target, struct buildinfo **out);
void buildinfo_destroy(struct buildinfo *info); // accepts NULL

// The value of a build setting, or NULL.
const char *buildinfo_setting(const struct buildinfo *info, const char *key);

// The value of one key in DefaultGODEBUG ("asynctimerchan" -> "1"), copied into `buffer`. False
// when it is not there.
bool buildinfo_godebug(const struct buildinfo *info, const char *key, char *buffer, size_t size);

#endif
