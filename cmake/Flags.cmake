# Compiler flags for every target of ours: `target_link_libraries(x PRIVATE cashew_flags)`.
add_library(cashew_flags INTERFACE)
target_compile_options(cashew_flags INTERFACE
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith
	-Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wswitch-enum -Wunused-result -Wno-missing-field-initializers
	-fno-common -fno-omit-frame-pointer)
target_compile_definitions(cashew_flags INTERFACE _GNU_SOURCE)
if(CASHEW_WERROR)
	target_compile_options(cashew_flags INTERFACE -Werror)
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
	target_compile_options(cashew_flags INTERFACE -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
		-fstack-clash-protection -fPIE)
	target_link_options(cashew_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
