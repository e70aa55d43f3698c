// cmocka with what its header wants included first.
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"

// Fails with the error's own words.
#define assert_success(call)                                               \
	do {                                                               \
		struct error *failed_ = (call);                            \
		if (failed_)                                               \
			fail_msg("%s: %s", #call, error_message(failed_)); \
	} while (0)

#endif
