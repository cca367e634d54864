/* cashew_macros.h - what the macros of cashew.h are made of. Nothing here is for handlers. */
#ifndef CASHEW_MACROS_H
#define CASHEW_MACROS_H

#include "cashew.h"

typedef struct cashew_bytes {
	const void *data;
	size_t size;
} cashew_bytes;

enum cashew_kind {
	CASHEW_K_text = 1,
	CASHEW_K_user,
	CASHEW_K_integer,
	CASHEW_K_number,
	CASHEW_K_boolean,
	CASHEW_K_time,
	CASHEW_K_bytes,
	CASHEW_K_json,
};
#define CASHEW_C_text	 const char *
#define CASHEW_C_user	 const char *
#define CASHEW_C_integer int64_t
#define CASHEW_C_number	 double
#define CASHEW_C_boolean bool
#define CASHEW_C_time	 cashew_time
#define CASHEW_C_bytes	 cashew_bytes
#define CASHEW_C_json	 const json_t *

/* What .min and .max are unless they are given. */
#define CASHEW_D_text	 .min = 1, .max = 1024
#define CASHEW_D_user	 .min = 1, .max = 64
#define CASHEW_D_integer .min = INT64_MIN, .max = INT64_MAX
#define CASHEW_D_number	 .min = 0
#define CASHEW_D_boolean .min = 0
#define CASHEW_D_time	 .min = 0
#define CASHEW_D_bytes	 .min = 0, .max = 65536
#define CASHEW_D_json	 .min = 0

/* An option that is given comes behind what it is otherwise, and the compilers would warn of that. */
#define CASHEW_OPTIONS_BEGIN_ \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Woverride-init\"")
#define CASHEW_OPTIONS_END_ _Pragma("GCC diagnostic pop")

enum { CASHEW_WITHIN = 1, CASHEW_ACROSS = 2 };

struct cashew_member {
	const char *name; /* in JSON and in the document */
	enum cashew_kind kind;
	size_t offset; /* within the struct */
	/* integer: of the value. text, user, bytes: of the number of bytes. What CASHEW_D_.. says unless given. */
	int64_t min, max;
	int64_t otherwise; /* of an optional integer */
	bool optional;
	bool key;	  /* part of the _id */
	bool expires;	  /* the database removes the document at this time */
	int index;	  /* 0, CASHEW_WITHIN or CASHEW_ACROSS */
	const char *help; /* may be NULL */
	const char *as;	  /* its name in JSON; NULL: the same */
	char unused_;
};

/* What a struct looks like. */
struct cashew_shape {
	const char *name; /* the struct's; an event's name */
	const char *file; /* where it is declared */
	int line;
	size_t size;  /* of the struct */
	size_t count; /* of members */
	const struct cashew_member *members;
	const char *help; /* of CASHEW_ANY_EVENT(), which has no members; else NULL */
	/* Of CASHEW_PAGE(): whose documents are in it; it has no members then. Else NULL. */
	const struct cashew_collection *page_of;
};

struct cashew_collection {
	const char *name; /* in the database */
	const struct cashew_shape *shape;
};

/* What cashew_update() and cashew_list() are told of one member. */
enum cashew_verb {
	CASHEW_V_key = 1,
	CASHEW_V_set,
	CASHEW_V_max,
	CASHEW_V_min,
	CASHEW_V_init,
	CASHEW_V_inc,
	CASHEW_V_if_equal,
	CASHEW_V_if_least,
	CASHEW_V_from,
	CASHEW_V_before,
};

struct cashew_change {
	enum cashew_verb verb;
	size_t offset;	   /* of the member, within the struct */
	const void *value; /* points at one of the member's C type: a const char *const *, an int64_t .. */
};

/* A macro for each of up to 24 arguments. */
#define CASHEW_CAT_(a, b)  CASHEW_CAT__(a, b)
#define CASHEW_CAT__(a, b) a##b
#define CASHEW_OPEN_(...)  __VA_ARGS__
#define CASHEW_COUNT_(...)                                                                                  \
	CASHEW_COUNT__(__VA_ARGS__, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, 24, 23, 22, 21, 20, 19, \
		18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define CASHEW_COUNT__(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
	a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, n, ...)                             \
	n
#define CASHEW_MAP_(m, t, ...)	    CASHEW_CAT_(CASHEW_MAP_, CASHEW_COUNT_(__VA_ARGS__))(m, t, __VA_ARGS__)
#define CASHEW_MAP_MANY(m, t, ...)  _Static_assert(0, "24 members at most");
#define CASHEW_MAP_1(m, t, x)	    m(t, x)
#define CASHEW_MAP_2(m, t, x, ...)  m(t, x) CASHEW_MAP_1(m, t, __VA_ARGS__)
#define CASHEW_MAP_3(m, t, x, ...)  m(t, x) CASHEW_MAP_2(m, t, __VA_ARGS__)
#define CASHEW_MAP_4(m, t, x, ...)  m(t, x) CASHEW_MAP_3(m, t, __VA_ARGS__)
#define CASHEW_MAP_5(m, t, x, ...)  m(t, x) CASHEW_MAP_4(m, t, __VA_ARGS__)
#define CASHEW_MAP_6(m, t, x, ...)  m(t, x) CASHEW_MAP_5(m, t, __VA_ARGS__)
#define CASHEW_MAP_7(m, t, x, ...)  m(t, x) CASHEW_MAP_6(m, t, __VA_ARGS__)
#define CASHEW_MAP_8(m, t, x, ...)  m(t, x) CASHEW_MAP_7(m, t, __VA_ARGS__)
#define CASHEW_MAP_9(m, t, x, ...)  m(t, x) CASHEW_MAP_8(m, t, __VA_ARGS__)
#define CASHEW_MAP_10(m, t, x, ...) m(t, x) CASHEW_MAP_9(m, t, __VA_ARGS__)
#define CASHEW_MAP_11(m, t, x, ...) m(t, x) CASHEW_MAP_10(m, t, __VA_ARGS__)
#define CASHEW_MAP_12(m, t, x, ...) m(t, x) CASHEW_MAP_11(m, t, __VA_ARGS__)
#define CASHEW_MAP_13(m, t, x, ...) m(t, x) CASHEW_MAP_12(m, t, __VA_ARGS__)
#define CASHEW_MAP_14(m, t, x, ...) m(t, x) CASHEW_MAP_13(m, t, __VA_ARGS__)
#define CASHEW_MAP_15(m, t, x, ...) m(t, x) CASHEW_MAP_14(m, t, __VA_ARGS__)
#define CASHEW_MAP_16(m, t, x, ...) m(t, x) CASHEW_MAP_15(m, t, __VA_ARGS__)
#define CASHEW_MAP_17(m, t, x, ...) m(t, x) CASHEW_MAP_16(m, t, __VA_ARGS__)
#define CASHEW_MAP_18(m, t, x, ...) m(t, x) CASHEW_MAP_17(m, t, __VA_ARGS__)
#define CASHEW_MAP_19(m, t, x, ...) m(t, x) CASHEW_MAP_18(m, t, __VA_ARGS__)
#define CASHEW_MAP_20(m, t, x, ...) m(t, x) CASHEW_MAP_19(m, t, __VA_ARGS__)
#define CASHEW_MAP_21(m, t, x, ...) m(t, x) CASHEW_MAP_20(m, t, __VA_ARGS__)
#define CASHEW_MAP_22(m, t, x, ...) m(t, x) CASHEW_MAP_21(m, t, __VA_ARGS__)
#define CASHEW_MAP_23(m, t, x, ...) m(t, x) CASHEW_MAP_22(m, t, __VA_ARGS__)
#define CASHEW_MAP_24(m, t, x, ...) m(t, x) CASHEW_MAP_23(m, t, __VA_ARGS__)

/* (integer, total, .min = 1)  ->  int64_t total; */
#define CASHEW_MEMBER_(t, x)		     CASHEW_MEMBER__(CASHEW_OPEN_ x, 0)
#define CASHEW_MEMBER__(...)		     CASHEW_MEMBER___(__VA_ARGS__)
#define CASHEW_MEMBER___(kind_, member, ...) CASHEW_C_##kind_ member;

/* (integer, total, .min = 1)  ->  {.name = "total", .kind = .., .offset = .., .min = 1}, */
#define CASHEW_SHAPE_(t, x) CASHEW_SHAPE__(t, CASHEW_OPEN_ x, .unused_ = 0)
#define CASHEW_SHAPE__(...) CASHEW_SHAPE___(__VA_ARGS__)
#define CASHEW_SHAPE___(t, kind_, member, ...)        \
	{.name = #member,                             \
		.kind = CASHEW_K_##kind_,             \
		.offset = offsetof(struct t, member), \
		CASHEW_D_##kind_,                     \
		__VA_ARGS__},

/* name_of_() and name_is_() make the compiler see the type: a wrong struct is a warning that the build makes an error. */
#define CASHEW_STRUCT_(t, ...)                                                            \
	struct t {                                                                        \
		CASHEW_MAP_(CASHEW_MEMBER_, t, __VA_ARGS__)                               \
	};                                                                                \
	CASHEW_OPTIONS_BEGIN_ static const struct cashew_member t##_members_[] = {        \
		CASHEW_MAP_(CASHEW_SHAPE_, t, __VA_ARGS__)};                              \
	CASHEW_OPTIONS_END_                                                               \
	__attribute__((unused)) static inline const struct t *t##_of_(const void *p)      \
	{                                                                                 \
		return p;                                                                 \
	}                                                                                 \
	__attribute__((unused)) static inline const void *t##_is_(const struct t *p)      \
	{                                                                                 \
		return p;                                                                 \
	}                                                                                 \
	__attribute__((unused)) static const struct cashew_shape t##_shape = {.name = #t, \
		.file = __FILE__,                                                         \
		.line = __LINE__,                                                         \
		.size = sizeof(struct t),                                                 \
		.count = sizeof(t##_members_) / sizeof(t##_members_[0]),                  \
		.members = t##_members_}

#define CASHEW_COLLECTION_(t, collection, ...)                                           \
	_Static_assert(sizeof(collection) > 1 && sizeof(collection) <= 64,               \
		"a collection's name has 1 to 63 bytes");                                \
	CASHEW_STRUCT_(t, __VA_ARGS__);                                                  \
	__attribute__((unused)) static const struct cashew_collection t##_collection = { \
		.name = collection, .shape = &t##_shape}

#define CASHEW_PAGE_(t, of)                                                    \
	__attribute__((unused)) static const struct cashew_shape t##_shape = { \
		.name = #t, .file = __FILE__, .line = __LINE__, .page_of = &of##_collection}

#define CASHEW_ANY_EVENT_(t, text)                                             \
	__attribute__((unused)) static const struct cashew_shape t##_shape = { \
		.name = #t, .file = __FILE__, .line = __LINE__, .help = text}

/* (inc, total, 3)  ->  {.verb = CASHEW_V_inc, .offset = .., .value = &(const int64_t){3}}, */
#define CASHEW_CHANGE_(t, x) CASHEW_CHANGE__(t, CASHEW_OPEN_ x)
#define CASHEW_CHANGE__(...) CASHEW_CHANGE___(__VA_ARGS__)
#define CASHEW_CHANGE___(t, verb_, member, ...)       \
	{.verb = CASHEW_V_##verb_,                    \
		.offset = offsetof(struct t, member), \
		.value = &(__typeof__(((struct t *)0)->member) const){__VA_ARGS__}},
#define CASHEW_CHANGES_(t, ...)                                    \
	CASHEW_COUNT_(__VA_ARGS__), (const struct cashew_change[]) \
	{                                                          \
		CASHEW_MAP_(CASHEW_CHANGE_, t, __VA_ARGS__)        \
	}

#define CASHEW_SHAPE_OF_(t, x)	    &x##_shape,
#define CASHEW_COLLECTION_OF_(t, x) &x##_collection,
#define CASHEW_EVENTS_(...)                                        \
	(const struct cashew_shape *const[])                       \
	{                                                          \
		CASHEW_MAP_(CASHEW_SHAPE_OF_, 0, __VA_ARGS__) NULL \
	}
#define CASHEW_COLLECTIONS_(...)                                        \
	(const struct cashew_collection *const[])                       \
	{                                                               \
		CASHEW_MAP_(CASHEW_COLLECTION_OF_, 0, __VA_ARGS__) NULL \
	}

/* What the build makes known of a handler: its name, that of its file, and its descriptor's. */
#define CASHEW_DESCRIPTOR_(...)                                                                \
	extern const struct cashew_handler CASHEW_HANDLER_SYMBOL;                              \
	CASHEW_OPTIONS_BEGIN_ const struct cashew_handler CASHEW_HANDLER_SYMBOL = {            \
		.name = CASHEW_HANDLER_NAME, .file = __FILE__, .line = __LINE__, __VA_ARGS__}; \
	CASHEW_OPTIONS_END_                                                                    \
	_Static_assert(1, "so that a semicolon can follow")

extern const struct cashew_shape cashew_any_json_shape, cashew_bytes_shape;

/* The command, and where it is called: what a mistake names. */
#define CASHEW_AT_(cmd) (cmd), __FILE__, __LINE__
const void *cashew_input_(cashew_command *, const char *file, int line, const struct cashew_shape *);
/* A user who is not there is nobody, and not the sender. */
static inline const char *cashew_receiver_(const char *user)
{
	return user ? user : "";
}
/* user NULL: the sender. value: the event's struct. */
cashew_result cashew_event_(cashew_command *, const char *file, int line, const char *user,
	const struct cashew_shape *, const void *value);
cashew_result cashew_page_(cashew_command *, const char *file, int line, const struct cashew_shape *,
	const struct cashew_collection *, size_t count, const struct cashew_change *);
/* keys: the struct, in which only the keys are looked at. All answer NULL after a failure, or where there is none. */
const void *cashew_find_(
	cashew_command *, const char *file, int line, const struct cashew_collection *, const void *keys);
void cashew_add_(
	cashew_command *, const char *file, int line, const struct cashew_collection *, const void *document);
const void *cashew_put_(
	cashew_command *, const char *file, int line, const struct cashew_collection *, const void *document);
void cashew_remove_(
	cashew_command *, const char *file, int line, const struct cashew_collection *, const void *keys);
const void *cashew_update_(cashew_command *, const char *file, int line, const struct cashew_collection *,
	size_t count, const struct cashew_change *);
const void *cashew_list_(cashew_command *, const char *file, int line, const struct cashew_collection *,
	unsigned limit, size_t *ret_count, size_t count, const struct cashew_change *);
const char *cashew_text_of_(
	cashew_command *, const char *file, int line, const struct cashew_shape *, const void *value);

CASHEW_STRUCT(cashew_page, (text, after, .optional = true),
	(integer, limit, .min = 1, .max = 500, .optional = true, .otherwise = 100));

#endif
