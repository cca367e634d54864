# Compiler flags for every target of ours: `target_link_libraries(x PRIVATE cashew_flags)`; for what is loaded into a program of
# others' making, and so cannot bring a sanitizer along, cashew_flags_unsanitized.
#
# Both are hardened, in every build type. The test unit.hardening looks at what comes of it.
#
# A release is compiled as RelWithDebInfo is: what the tests run is what is installed, and a compiler's cache compiles it once.
set(CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
add_library(cashew_flags_common INTERFACE)
target_compile_options(cashew_flags_common INTERFACE
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith
	-Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wswitch-enum -Werror=unused-result -Wno-missing-field-initializers
	-fno-common -fno-omit-frame-pointer)
target_compile_definitions(cashew_flags_common INTERFACE _GNU_SOURCE)
if(CASHEW_WERROR)
	target_compile_options(cashew_flags_common INTERFACE $<BUILD_INTERFACE:-Werror>) # of who builds cashewd
endif()

# ---- Hardening ----

# Programs can be loaded anywhere. What goes into a program only is compiled with -fPIE, below: -fPIC would keep the compiler from inlining.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# What a compiler does not know is left out.
include(CheckCCompilerFlag)
set(hardening -fstack-protector-strong -fstack-clash-protection)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|i.86)$")
	list(APPEND hardening -fcf-protection)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
	list(APPEND hardening -mbranch-protection=standard)
endif()
foreach(flag IN LISTS hardening)
	string(MAKE_C_IDENTIFIER "CASHEW_HAS${flag}" has)
	check_c_compiler_flag(${flag} ${has})
	if(${has})
		target_compile_options(cashew_flags_common INTERFACE ${flag})
	endif()
endforeach()
# The build's id joins a program with the file of its debug information.
target_link_options(cashew_flags_common INTERFACE LINKER:--build-id LINKER:-z,relro,-z,now,-z,noexecstack)

# The highest level of checked functions that glibc grants with this compiler and this build's flags: it says which one is in force. Without
# optimisation there is none, and to ask for one would be a warning in every file.
include(CheckCSourceCompiles)
set(CMAKE_TRY_COMPILE_CONFIGURATION ${CMAKE_BUILD_TYPE})
set(CASHEW_FORTIFY 0)
foreach(level 3 2)
	set(CMAKE_REQUIRED_FLAGS "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level}")
	string(MAKE_C_IDENTIFIER "CASHEW_FORTIFIES_${level}_${CMAKE_BUILD_TYPE}_${CMAKE_C_FLAGS}" fortifies)
	check_c_source_compiles("
		#include <string.h>
		#if !defined __USE_FORTIFY_LEVEL || __USE_FORTIFY_LEVEL < ${level}
		#error this level is not in force
		#endif
		int main(void) { return 0; }" ${fortifies})
	if(${fortifies} AND CASHEW_FORTIFY EQUAL 0)
		set(CASHEW_FORTIFY ${level})
	endif()
endforeach()
unset(CMAKE_REQUIRED_FLAGS)
add_library(cashew_fortify INTERFACE)
if(CASHEW_FORTIFY GREATER 0)
	target_compile_options(cashew_fortify INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${CASHEW_FORTIFY})
endif()

# ---- For whom ----

add_library(cashew_flags_unsanitized INTERFACE)
target_link_libraries(cashew_flags_unsanitized INTERFACE cashew_flags_common cashew_fortify)

add_library(cashew_flags INTERFACE)
target_link_libraries(cashew_flags INTERFACE cashew_flags_common)
target_compile_options(cashew_flags INTERFACE -fPIE)
if(CASHEW_SANITIZE STREQUAL "")
	target_link_libraries(cashew_flags INTERFACE cashew_fortify)
else()
	# A sanitizer checks these functions better, and does not see through glibc's checked ones.
	target_compile_options(cashew_flags INTERFACE -U_FORTIFY_SOURCE)
endif()
if(CASHEW_SANITIZE STREQUAL "address")
	target_compile_options(cashew_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
	target_link_options(cashew_flags INTERFACE -fsanitize=address,undefined)
	# Where returned frames are kept, to find their use, gcc before 13.3 puts locals of more than 64 bytes' alignment, as libbson's bson_t, at addresses
	# that are not aligned so: its own mistake, which it would report as ours.
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 13.3)
		target_compile_options(cashew_flags INTERFACE -fno-sanitize=alignment)
	endif()
elseif(CASHEW_SANITIZE STREQUAL "thread")
	target_compile_options(cashew_flags INTERFACE -fsanitize=thread)
	target_link_options(cashew_flags INTERFACE -fsanitize=thread)
elseif(CASHEW_SANITIZE STREQUAL "fuzzer")
	# Of clang. What counts the branches is in all that is compiled; libFuzzer itself, which has a main(), in the targets of tests/fuzz/ alone.
	target_compile_options(cashew_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
	target_link_options(cashew_flags INTERFACE -fsanitize=address,undefined)
elseif(NOT CASHEW_SANITIZE STREQUAL "")
	message(FATAL_ERROR "CASHEW_SANITIZE is '${CASHEW_SANITIZE}': expected nothing, 'address', 'thread' or 'fuzzer'")
endif()
