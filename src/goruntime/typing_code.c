// The scan of a program's code: which functions are worth it, threads, and putting the findings together.
#include "goruntime/typing_code.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/search.h"
#include "base/together.h"
#include "debuginfo/pclntab.h"
#include "goruntime/typing_flow.h"

enum {
	SCAN_THREADS = 2,
	FUNCTIONS_A_TURN = 256,
	TEXT_BYTES_MAX = 1 << 30,
	RESULT_DEPTH_MAX = 8,
	DICTIONARY_WORDS_MAX = 64
};

// Calls whose arguments or results tell types. Names as in pclntab; a final '*' stands for any rest.
static const struct {
	const char *name;
	enum call_kind kind;
} known_calls[] = {
	{"runtime.newobject", CALL_NEW},
	{"runtime.convT", CALL_NEW}, // a value on its way into an interface
	{"runtime.convTnoptr", CALL_NEW},
	{"runtime.mallocgcSmall*", CALL_MALLOC}, // 1.27: specialised by size class
	{"runtime.mallocgcTiny*", CALL_MALLOC},
	{"runtime.mallocgc", CALL_MALLOC},
	{"runtime.makeslice*", CALL_MAKE_SLICE},
	{"runtime.newarray", CALL_MAKE_SLICE},
	{"runtime.growslice*", CALL_GROW_SLICE},
	{"runtime.mapaccess*", CALL_MAP},
	{"runtime.mapassign*", CALL_MAP},
	{"runtime.mapdelete*", CALL_MAP},
	{"runtime.mapclear", CALL_MAP},
	{"runtime.mapiterinit", CALL_MAP},
	{"runtime.mapIterStart", CALL_MAP},
	{"runtime.makemap_small", CALL_MAKE_MAP},
	{"runtime.makemap", CALL_MAKE_VALUE},
	{"runtime.makemap64", CALL_MAKE_VALUE},
	{"runtime.makechan", CALL_MAKE_VALUE},
	{"runtime.makechan64", CALL_MAKE_VALUE},
	{"runtime.gcWriteBarrier*", CALL_BARRIER},
	{"runtime.morestack*", CALL_MORE_STACK},
	{"runtime.duff*", CALL_DUFF},
	{"runtime.panicIndex*", CALL_NO_RETURN},
	{"runtime.panicSlice*", CALL_NO_RETURN},
	{"runtime.panicBounds*", CALL_NO_RETURN}, // 1.26
	{"runtime.panicdottype*", CALL_NO_RETURN},
	{"runtime.panicnildottype", CALL_NO_RETURN},
	{"runtime.panicdivide", CALL_NO_RETURN},
	{"runtime.panicshift", CALL_NO_RETURN},
	{"runtime.gopanic", CALL_NO_RETURN},
	{"sync/atomic.StorePointer", CALL_STORE},
	{"sync/atomic.SwapPointer", CALL_STORE},
};

// Functions that are given the addresses of variables, with the registers: of what they send, receive, look up, fill in
// (runtime/chan.go, select.go, map.go; the same in 1.19 to 1.27).
static const struct {
	const char *name;
	uint64_t registers;
} takers[] = {
	{"runtime.chansend1", 1 << RBX},
	{"runtime.chanrecv1", 1 << RBX},
	{"runtime.chanrecv2", 1 << RBX},
	{"runtime.selectnbsend", 1 << RBX},
	{"runtime.selectnbrecv", 1 << RAX},
	{"runtime.selectgo", 1 << RAX | 1 << RBX},
	{"runtime.mapaccess1", 1 << RCX},
	{"runtime.mapaccess2", 1 << RCX},
	{"runtime.mapassign", 1 << RCX},
	{"runtime.mapdelete", 1 << RCX},
	{"runtime.mapiterinit", 1 << RCX},
	{"runtime.mapiternext", 1 << RAX},
	{"runtime.mapIterStart", 1 << RCX},
	{"runtime.mapIterNext", 1 << RAX},
};

static uint64_t registers_taken(const char *name)
{
	for (size_t i = 0; i < sizeof(takers) / sizeof(*takers); i++)
		if (!strcmp(name, takers[i].name))
			return takers[i].registers;
	return 0;
}

static enum call_kind call_kind_of(const char *name)
{
	if (strncmp(name, "runtime.", 8) != 0 && strncmp(name, "sync/atomic.", 12) != 0)
		return CALL_OTHER;
	for (size_t i = 0; i < sizeof(known_calls) / sizeof(*known_calls); i++) {
		const char *known = known_calls[i].name;
		size_t length = strlen(known);
		if (known[length - 1] == '*' ? !strncmp(name, known, length - 1)
					     : !strcmp(name, known))
			return known_calls[i].kind;
	}
	return CALL_OTHER;
}

// The parts of "path.(*Name[arguments]).Method".
struct method_name {
	const char *package, *type; // where they start
	size_t package_length, type_length,
		arguments_length; // arguments: with brackets, 0 when there are none
};

static bool method_parse(const char *name, struct method_name *out)
{
	const char *open = strstr(name, ".(*"), *end;
	unsigned depth = 0;

	if (!open)
		return false;
	*out = (struct method_name){
		.package = name, .type = open + 3, .package_length = open - name};
	out->type_length = strcspn(out->type, "[)");
	end = out->type + out->type_length;
	if (*end == '[') {
		const char *arguments = end;
		for (; *end; end++) {
			depth += *end == '[';
			depth -= *end == ']';
			if (!depth)
				break;
		}
		if (!*end)
			return false;
		out->arguments_length = ++end - arguments;
	}
	// Closures in a method and method values have its name and more.
	return !strncmp(end, ").", 2) && !strpbrk(end + 2, ".-[");
}

// Which instance of the generic type it is, the name does not tell: go 1.19 and 1.20 print "[...]", later versions the
// shape of the arguments.
static bool method_is_shared(const struct method_name *method)
{
	const char *arguments = method->type + method->type_length;

	return method->arguments_length &&
	       (!strncmp(arguments, "[...]", 5) || memmem(arguments, method->arguments_length,
							   "go.shape.", strlen("go.shape.")));
}

// The type of a method's pointer receiver. The linker writes dots of the path's last element as %2e.
static const struct go_type *method_receiver(
	struct type_table *types, const struct method_name *method)
{
	char full[512];
	size_t length = 0, type_length = method->type_length + method->arguments_length;

	if (method->package_length + type_length + 2 > sizeof(full))
		return NULL;
	for (size_t i = 0; i < method->package_length; i++) {
		bool dot = !strncmp(method->package + i, "%2e", 3);
		full[length++] = dot ? '.' : method->package[i];
		i += dot ? 2 : 0;
	}
	full[length++] = '.';
	memcpy(full + length, method->type, type_length);
	full[length + type_length] = '\0';
	return type_by_name(types, full);
}

struct scan {
	struct typing *typing;
	struct flow_program *program;
	pthread_mutex_t lock;
	uint32_t next, count; // functions
	bool no_memory;
	struct flow_findings findings[SCAN_THREADS];
};

static bool scan_prepare_calls(struct scan *scan)
{
	struct flow_program *program = scan->program;
	struct pcln_function function;

	for (uint32_t i = 0; i < scan->count; i++) {
		if (!pclntab_function(program->pclntab, i, &function))
			continue;
		enum call_kind kind = call_kind_of(function.name);
		if (kind != CALL_OTHER && !hw_map_put(&program->calls, function.entry, kind))
			return false;
		uint64_t taken = registers_taken(function.name);
		if (taken && !hw_map_put(&program->takers, function.entry, taken))
			return false;
		struct method_name method;
		if (kind != CALL_OTHER || !method_parse(function.name, &method))
			continue;
		if (method_is_shared(&method)) {
			if (!hw_map_put(
				    &program->generics, function.entry, (uintptr_t)function.name))
				return false;
			continue;
		}
		const struct go_type *receiver = method_receiver(scan->typing->types, &method);
		if (receiver &&
			!hw_map_put(&program->receivers, function.entry, (uintptr_t)receiver))
			return false;
	}
	return true;
}

struct worker {
	struct scan *scan;
	struct flow_findings *findings;
};

static void scan_work(void *job)
{
	struct worker *worker = job;
	struct scan *scan = worker->scan;
	struct flow *flow = flow_create(scan->program, worker->findings);

	for (uint32_t first = 0; flow && first < scan->count;) {
		pthread_mutex_lock(&scan->lock);
		first = scan->next;
		scan->next += FUNCTIONS_A_TURN;
		pthread_mutex_unlock(&scan->lock);
		for (uint32_t i = first; i < scan->count && i < first + FUNCTIONS_A_TURN; i++) {
			struct pcln_function function;
			if (pclntab_function(scan->program->pclntab, i, &function))
				flow_function(flow, i, function.entry, function.end);
		}
	}
	if (!flow)
		worker->findings->no_memory = true;
	flow_destroy(flow);
}

static void scan_run(struct scan *scan)
{
	struct worker workers[SCAN_THREADS];

	for (unsigned i = 0; i < SCAN_THREADS; i++)
		workers[i] = (struct worker){.scan = scan, .findings = &scan->findings[i]};
	together(scan_work, workers, SCAN_THREADS, sizeof(*workers));
}

static int compare_facts(const void *left, const void *right)
{
	const struct code_fact *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->type->id < b->type->id ? -1 : a->type->id > b->type->id;
}

static int compare_references(const void *left, const void *right)
{
	const struct code_reference *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return a->function < b->function ? -1 : a->function > b->function;
}

struct flow_value code_result(const struct typing_code *code, struct flow_value value)
{
	uint64_t index;

	for (unsigned depth = 0; value.kind == VALUE_RESULT && depth < RESULT_DEPTH_MAX; depth++) {
		if (!hw_map_get(&code->returns, value.what, &index))
			return (struct flow_value){0};
		value = code->return_values.items[index];
	}
	return value.kind == VALUE_RESULT ? (struct flow_value){0} : value;
}

// A value stored to a global becomes a fact.
static bool code_add_store(struct typing_code *code, const struct flow_store *store)
{
	struct flow_value value = code_result(code, store->value);
	struct code_fact fact = {.address = store->address, .votes = 1};
	switch (value.kind) {
	case VALUE_POINTER:
		fact.kind = FACT_POINTER;
		break;
	case VALUE_ARRAY:
		fact.kind = FACT_SLICE;
		break;
	case VALUE_TYPED:
		fact.kind = FACT_VALUE;
		break;
	default:
		return true;
	}
	fact.type = flow_value_type(&value);
	return hw_vector_push(&code->facts, fact);
}

// A map's type beats the header that it is made of, which is all that its allocation shows.
static uint64_t fact_weight(const struct code_fact *fact)
{
	return (uint64_t)(fact->kind == FACT_VALUE) << 32 | fact->votes;
}

// Equal facts become one with as many votes; the strongest about an address comes first.
static void code_count_votes(struct typing_code *code)
{
	struct code_fact *facts = code->facts.items;
	size_t kept = 0;

	if (code->facts.count)
		qsort(facts, code->facts.count, sizeof(*facts), compare_facts);
	for (size_t i = 0; i < code->facts.count; i++) {
		if (kept && !compare_facts(&facts[kept - 1], &facts[i]))
			facts[kept - 1].votes += facts[i].votes;
		else
			facts[kept++] = facts[i];
	}
	code->facts.count = kept;
	for (size_t i = 0; i < kept;) {
		size_t end = i + 1;
		for (; end < kept && facts[end].address == facts[i].address; end++) {
			if (fact_weight(&facts[end]) > fact_weight(&facts[i])) {
				struct code_fact better = facts[end];
				facts[end] = facts[i];
				facts[i] = better;
			}
		}
		i = end;
	}
}

static void code_unique_references(struct typing_code *code)
{
	struct code_reference *references = code->references.items;
	size_t kept = 0;

	if (code->references.count)
		qsort(references, code->references.count, sizeof(*references), compare_references);
	for (size_t i = 0; i < code->references.count; i++)
		if (!kept || compare_references(&references[kept - 1], &references[i]))
			references[kept++] = references[i];
	code->references.count = kept;
	hw_vector_shrink(&code->references);
}

static bool code_collect_returns(struct typing_code *code, const struct flow_findings *findings)
{
	hw_map_each (&findings->returns, entry) {
		if (!hw_map_put(&code->returns, entry->key, code->return_values.count) ||
			!hw_vector_push(
				&code->return_values, findings->return_values.items[entry->value]))
			return false;
	}
	return true;
}

static bool code_collect(struct typing_code *code, struct scan *scan)
{
	for (unsigned t = 0; t < SCAN_THREADS; t++)
		if (!code_collect_returns(code, &scan->findings[t]))
			return false;
	for (unsigned t = 0; t < SCAN_THREADS; t++) {
		struct flow_findings *findings = &scan->findings[t];
		if (findings->no_memory)
			return false;
		for (size_t i = 0; i < findings->facts.count; i++)
			if (!hw_vector_push(&code->facts, findings->facts.items[i]))
				return false;
		for (size_t i = 0; i < findings->stores.count; i++)
			if (!code_add_store(code, &findings->stores.items[i]))
				return false;
		for (size_t i = 0; i < findings->references.count; i++)
			if (!hw_vector_push(&code->references, findings->references.items[i]))
				return false;
		code->bytes += findings->bytes;
		code->functions += findings->functions;
	}
	code_count_votes(code);
	code_unique_references(code);
	return true;
}

// Does one of the dictionary's types have the same type arguments? (cmd/compile/internal/noder, readerDict: among
// others a dictionary lists the types that the method's body needs.)
static bool dictionary_mentions(
	struct typing *typing, const struct flow_generic *call, const char *arguments)
{
	for (unsigned i = 0; i < DICTIONARY_WORDS_MAX; i++) {
		const struct go_type *type = type_known(
			typing->types, memory_u64(&typing->memory, call->dictionary + 8 * i));
		if (type && strstr(type->name, arguments))
			return true;
	}
	return false;
}

// Is `type` an instance of the generic type that has the method?
static bool method_is_of(const struct method_name *method, const struct go_type *type)
{
	const char *arguments = strchr(type->name, '['), *dot = strchr(type->name, '.');

	return *type->package && arguments && dot && dot < arguments &&
	       strlen(type->package) == method->package_length &&
	       !memcmp(type->package, method->package, method->package_length) &&
	       (size_t)(arguments - dot - 1) == method->type_length &&
	       !memcmp(dot + 1, method->type, method->type_length) &&
	       !strstr(type->name, "go.shape.");
}

// Are the type's arguments those that the method's name has, taken as shapes? "go.shape.int" is int first of all.
static bool method_has_shape(const struct method_name *method, const struct go_type *type)
{
	const char *shape = method->type + method->type_length,
		   *end = shape + method->arguments_length;
	const char *arguments = strchr(type->name, '[');

	while (shape < end && *arguments) {
		if ((size_t)(end - shape) > 9 && !memcmp(shape, "go.shape.", 9))
			shape += 9;
		if (*shape++ != *arguments++)
			return false;
	}
	return shape == end && !*arguments;
}

// The instance of a generic type that its method `name` is called for: the only one that the dictionary mentions, else
// the one that looks like the shape.
static const struct go_type *generic_receiver(
	struct typing *typing, const struct flow_generic *call, const char *name)
{
	const struct go_type *mentioned = NULL, *shaped = NULL;
	unsigned count = 0;
	struct method_name method;

	if (!method_parse(name, &method))
		return NULL;
	for (uint32_t id = 0; id < type_table_count(typing->types); id++) {
		const struct go_type *type = type_by_id(typing->types, id);
		if (!method_is_of(&method, type))
			continue;
		if (dictionary_mentions(typing, call, strchr(type->name, '['))) {
			mentioned = type;
			count++;
		}
		if (method_has_shape(&method, type))
			shaped = type;
	}
	return count == 1 ? mentioned : count ? NULL : shaped;
}

static bool code_add_generics(struct typing *typing, const struct scan *scan)
{
	struct hw_map known; // dictionary -> struct go_type
	bool good = true;

	hw_map_init(&known);
	for (unsigned t = 0; t < SCAN_THREADS; t++) {
		const struct flow_findings *findings = &scan->findings[t];
		for (size_t i = 0; i < findings->generics.count && good; i++) {
			const struct flow_generic *call = &findings->generics.items[i];
			uint64_t method, type;
			if (!hw_map_get(&scan->program->generics, call->method, &method))
				continue;
			if (!hw_map_get(&known, call->dictionary, &type)) {
				type = (uintptr_t)generic_receiver(
					typing, call, (const char *)(uintptr_t)method);
				good = hw_map_put(&known, call->dictionary, type);
			}
			struct code_fact fact = {call->address,
				(const struct go_type *)(uintptr_t)type, call->kind, 1};
			if (type)
				good = good && hw_vector_push(&typing->code->facts, fact);
		}
	}
	hw_map_deinit(&known);
	return good;
}

// The closures' captures, as types called by the function that is the closure's code.
static void code_set_captures(struct typing *typing, const struct scan *scan)
{
	for (unsigned t = 0; t < SCAN_THREADS; t++) {
		const struct flow_findings *findings = &scan->findings[t];
		for (size_t i = 0; i < findings->closures.count; i++) {
			const struct flow_closure *closure = &findings->closures.items[i];
			struct pcln_function function;
			if (!pclntab_find(scan->program->pclntab, closure->code, &function) ||
				function.entry != closure->code)
				continue;
			struct go_type *type = type_create(typing->types);
			if (!type) {
				typing->no_memory = true;
				return;
			}
			uint32_t id = type->id;
			*type = *closure->type;
			type->id = id;
			type->name = function.name;
			type->package = "";
			type->runtime_type = 0;
			type->synthetic = true;
			typing_set_captures(typing, closure->code, type, false);
		}
	}
}

static void scan_deinit(struct scan *scan)
{
	for (unsigned i = 0; i < SCAN_THREADS; i++)
		flow_findings_deinit(&scan->findings[i]);
	pthread_mutex_destroy(&scan->lock);
}

struct error *typing_code_scan(struct typing *typing)
{
	const struct go_runtime *runtime = typing->heap->runtime;
	const struct go_module *module = &runtime->modules[0];
	struct scan scan = {.typing = typing, .count = pclntab_count(module->pclntab)};
	const void *text;

	typing->code = calloc(1, sizeof(*typing->code));
	if (!typing->code)
		return error_no_memory();
	hw_map_init(&typing->code->returns);
	if (runtime->target->arch != ARCH_AMD64 || module->etext <= module->text ||
		module->etext - module->text > TEXT_BYTES_MAX)
		return NULL;
	struct error *err =
		target_map(runtime->target, module->text, module->etext - module->text, &text);
	if (err) { // the names of types then come from fewer places
		error_destroy(err);
		return NULL;
	}
	scan.program = typing->code->program = calloc(1, sizeof(*scan.program));
	if (!scan.program)
		return error_no_memory();
	*scan.program = (struct flow_program){
		.types = typing->types,
		.pclntab = module->pclntab,
		.text = text,
		.start = module->text,
		.end = module->etext,
		.data_start = module->variables,
		.data_end = module->end,
		.grow_slice_type_first = runtime->layout.minor < 20,
	};
	scan.program->map_header =
		typing->known.hmap ? typing->known.hmap : typing->known.swiss_map;
	hw_map_init(&scan.program->calls);
	hw_map_init(&scan.program->receivers);
	hw_map_init(&scan.program->generics);
	hw_map_init(&scan.program->takers);
	pthread_mutex_init(&scan.lock, NULL);
	for (unsigned i = 0; i < SCAN_THREADS; i++)
		flow_findings_init(&scan.findings[i]);
	bool good = scan_prepare_calls(&scan);
	if (good)
		scan_run(&scan);
	good = good && code_add_generics(typing, &scan) && code_collect(typing->code, &scan);
	if (good)
		code_set_captures(typing, &scan);
	scan.program->captures = &typing->captures;
	scan_deinit(&scan);
	return good ? NULL : error_no_memory();
}

void typing_code_destroy(struct typing_code *code)
{
	if (!code)
		return;
	if (code->program) {
		hw_map_deinit(&code->program->calls);
		hw_map_deinit(&code->program->receivers);
		hw_map_deinit(&code->program->generics);
		hw_map_deinit(&code->program->takers);
		free(code->program);
	}
	hw_map_deinit(&code->returns);
	hw_vector_deinit(&code->return_values);
	hw_vector_deinit(&code->facts);
	hw_vector_deinit(&code->references);
	free(code);
}

const struct code_fact *code_fact_at(const struct typing_code *code, remote_addr address)
{
	size_t at = FIRST_WHERE(i, code->facts.count, code->facts.items[i].address >= address);

	return at < code->facts.count && code->facts.items[at].address == address
		       ? &code->facts.items[at]
		       : NULL;
}

// The headers of maps and channels say nothing of what they hold.
static bool is_plain_header(const struct typing *typing, const struct go_type *type)
{
	const struct known_types *known = &typing->known;

	return type == known->hmap || type == known->swiss_map || type == known->hchan;
}

static void typing_claim_pointed(
	struct typing *typing, remote_addr address, const struct go_type *type)
{
	if (flow_is_closure_type(type))
		typing_claim_closure(typing, address);
	else if (!is_plain_header(typing, type))
		typing_claim(typing, address, type, 1);
}

void typing_claim_flow(struct typing *typing, remote_addr word, const struct flow_value *value)
{
	if (value->kind == VALUE_POINTER || value->kind == VALUE_ARRAY)
		typing_claim_pointed(typing, word, flow_value_type(value));
	else if (value->kind == VALUE_TYPED)
		typing_follow_pointer(typing, flow_value_type(value), word);
}

// Claims what a global leads to by a fact about it.
static void claim_fact(struct typing *typing, const struct code_fact *fact)
{
	struct memory *memory = &typing->memory;
	uint64_t words[3] = {0};

	switch (fact->kind) {
	case FACT_POINTER:
		typing_claim_pointed(typing, memory_u64(memory, fact->address), fact->type);
		break;
	case FACT_SLICE:
		memory_read(memory, fact->address, words, sizeof(words));
		if (words[1] <= words[2])
			typing_claim_as(typing, CLAIM_BY_SLICE, words[0], fact->type, words[2]);
		break;
	case FACT_VALUE:
		typing_follow_pointer(typing, fact->type, memory_u64(memory, fact->address));
		break;
	case FACT_IS:
		typing_claim_memory(typing, fact->address, fact->type, 1);
		break;
	}
}

void typing_code_claim(struct typing *typing)
{
	const struct typing_code *code = typing->code;

	for (size_t i = 0; i < code->facts.count; i++)
		if (!i || code->facts.items[i].address != code->facts.items[i - 1].address)
			claim_fact(typing, &code->facts.items[i]);
}
