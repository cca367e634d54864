# Compiler flags for every target of ours: `target_link_libraries(x PRIVATE cashew_flags)`; for what is loaded into a program of
# others' making, and so cannot bring a sanitizer along, cashew_flags_unsanitized.
add_library(cashew_flags_unsanitized INTERFACE)
add_library(cashew_flags INTERFACE)
target_link_libraries(cashew_flags INTERFACE cashew_flags_unsanitized)
target_compile_options(cashew_flags_unsanitized INTERFACE
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith
	-Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wswitch-enum -Werror=unused-result -Wno-missing-field-initializers
	-fno-common -fno-omit-frame-pointer)
target_compile_definitions(cashew_flags_unsanitized INTERFACE _GNU_SOURCE)
if(CASHEW_WERROR)
	target_compile_options(cashew_flags_unsanitized INTERFACE -Werror)
endif()
if(CASHEW_SANITIZE STREQUAL "address")
	target_compile_options(cashew_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
	target_link_options(cashew_flags INTERFACE -fsanitize=address,undefined)
elseif(CASHEW_SANITIZE STREQUAL "thread")
	target_compile_options(cashew_flags INTERFACE -fsanitize=thread)
	target_link_options(cashew_flags INTERFACE -fsanitize=thread)
elseif(NOT CASHEW_SANITIZE STREQUAL "")
	message(FATAL_ERROR "CASHEW_SANITIZE is '${CASHEW_SANITIZE}': expected nothing, 'address' or 'thread'")
endif()
if(CASHEW_HARDEN)
	include(CheckPIESupported)
	check_pie_supported(LANGUAGES C)
	set(CMAKE_POSITION_INDEPENDENT_CODE ON) # programs are PIE, plugins are not
	target_compile_options(cashew_flags_unsanitized INTERFACE -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
		-fstack-protector-strong -fstack-clash-protection)
	target_link_options(cashew_flags_unsanitized INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
