# cashew_add_handlers(TARGET FILE...): a static library of handlers, one per file, and the table of them that the host reads. A handler's name is the
# name of its file. Libraries that a file's first comment names ("Link: libcurl") are linked into every program with these handlers, tests included.
#
# It serves this tree and, installed, projects outside of it. A value of another type is an error, for whoever builds it.
set(CASHEW_HANDLER_FLAGS -Werror=int-conversion -Werror=incompatible-pointer-types -Werror=implicit-function-declaration)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	list(APPEND CASHEW_HANDLER_FLAGS -ftrack-macro-expansion=0) # an error is told of the handler's line, not of cashew_macros.h
endif()
function(cashew_add_handlers target)
	set(declarations "")
	set(entries "")
	foreach(source IN LISTS ARGN)
		get_filename_component(name ${source} NAME_WE)
		if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
			message(FATAL_ERROR " ${source}: a handler's file name is its name: expected a-z, then a-z 0-9 _")
		endif()
		if(DEFINED source_of_${name})
			message(FATAL_ERROR " ${source}: there is a handler ${name} already: ${source_of_${name}}")
		endif()
		set(source_of_${name} ${source})
		set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS
			"CASHEW_HANDLER_NAME=\"${name}\";CASHEW_HANDLER_SYMBOL=cashew_handler_${name}")
		string(APPEND declarations "extern const struct cashew_handler cashew_handler_${name};\n")
		string(APPEND entries "\t&cashew_handler_${name},\n")
	endforeach()
	set(table ${CMAKE_CURRENT_BINARY_DIR}/${target}_table.c)
	file(CONFIGURE OUTPUT ${table} CONTENT
"/* Made by cmake/Handlers.cmake from the handlers' file names. As handler_table.h has it, which is not installed. */
#include <cashew.h>

extern const struct cashew_handler *const handler_table[];

@declarations@
const struct cashew_handler *const handler_table[] = {
@entries@\tNULL,
};
" @ONLY)
	add_library(${target} STATIC ${ARGN} ${table})
	cashew_short_names(short_names)
	target_compile_options(${target} PRIVATE ${CASHEW_HANDLER_FLAGS} ${short_names})
	target_link_libraries(${target} PUBLIC cashewd::cashew_api PRIVATE cashewd::handler_flags PkgConfig::MONGOC)
	cashew_link_handlers(${target} ${ARGN})
endfunction()

# File names in messages begin at the project's folder, or at the one that holds handlers/, however a generator or a cache names the file.
function(cashew_short_names result)
	set(folder ${PROJECT_SOURCE_DIR})
	if(CASHEW_HANDLERS)
		get_filename_component(folder ${CASHEW_HANDLERS} DIRECTORY)
	endif()
	file(RELATIVE_PATH from_build ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
	set(${result} -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= -fmacro-prefix-map=${from_build}= -fmacro-prefix-map=${folder}/= PARENT_SCOPE)
endfunction()

# The lines "Link: NAME.." of all files are kept in TARGET_links.txt. The build writes it anew when a handler has changed, and is configured anew when
# that makes it another one: what changes nothing but code costs no run of CMake.
function(cashew_link_handlers target)
	set(links ${CMAKE_CURRENT_BINARY_DIR}/${target}_links.txt)
	set(files ${CMAKE_CURRENT_BINARY_DIR}/${target}_files.txt)
	list(JOIN ARGN "\n" lines)
	file(CONFIGURE OUTPUT ${files} CONTENT "${lines}\n")
	set(read_links ${CMAKE_COMMAND} -DFILES=${files} -DLINKS=${links} -DDEPFILE=${links}.d -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/HandlerLinks.cmake)
	execute_process(COMMAND ${read_links} COMMAND_ERROR_IS_FATAL ANY)
	# By a DEPFILE: with DEPENDS a handler that is gone would be an error, before the build looks which handlers there are.
	add_custom_command(OUTPUT ${links} COMMAND ${read_links} DEPENDS ${files} DEPFILE ${links}.d VERBATIM COMMENT "Which libraries handlers name")
	target_sources(${target} PRIVATE ${links})
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${links})

	file(STRINGS ${links} lines ENCODING UTF-8)
	foreach(line IN LISTS lines)
		string(REGEX MATCH "^(.*): ([^ ]+)$" matched "${line}")
		set(source ${CMAKE_MATCH_1})
		set(library ${CMAKE_MATCH_2})
		string(MAKE_C_IDENTIFIER "CASHEW_LINK_${library}" variable)
		pkg_check_modules(${variable} QUIET IMPORTED_TARGET GLOBAL ${library})
		if(NOT ${variable}_FOUND)
			message(FATAL_ERROR " ${source}: \"Link: ${library}\": pkg-config knows no library of that name. Expected the name of a .pc file, as in "
				"\"Link: libcurl\"; Debian has them in -dev packages (apt-file search ${library}.pc)")
		endif()
		target_link_libraries(${target} PUBLIC PkgConfig::${variable})
	endforeach()
endfunction()
