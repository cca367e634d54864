# cashew_add_handlers(TARGET FILE...): a static library of handlers, one per file, and the table of them that the host reads. A
# handler's name is the name of its file.
function(cashew_add_handlers target)
	set(declarations "")
	set(entries "")
	foreach(source IN LISTS ARGN)
		get_filename_component(name ${source} NAME_WE)
		if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
			message(FATAL_ERROR "${source}: a handler's file name is its name: expected a-z, then a-z 0-9 _")
		endif()
		set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS
			"CASHEW_HANDLER_NAME=\"${name}\";CASHEW_HANDLER_SYMBOL=cashew_handler_${name}")
		string(APPEND declarations "extern const struct cashew_handler cashew_handler_${name};\n")
		string(APPEND entries "\t&cashew_handler_${name},\n")
	endforeach()
	set(table ${CMAKE_CURRENT_BINARY_DIR}/${target}_table.c)
	file(CONFIGURE OUTPUT ${table} CONTENT
"/* Made by cmake/Handlers.cmake from the handlers' file names. */
#include \"handler_table.h\"

@declarations@
const struct cashew_handler *const handler_table[] = {
@entries@\tNULL,
};
" @ONLY)
	set_source_files_properties(${table} PROPERTIES INCLUDE_DIRECTORIES ${PROJECT_SOURCE_DIR}/runtime/handler)
	add_library(${target} STATIC ${ARGN} ${table})
	target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR}/runtime/handler)
	target_link_libraries(${target} PUBLIC cashew_api cashew_store_api PRIVATE cashew_flags PkgConfig::MONGOC)
endfunction()
