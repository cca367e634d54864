# cashew_add_programs(NAME HANDLERS): cashewd and cashewd-host with that library of handlers, called NAME and NAME-host. To build NAME builds
# both, and fails where a descriptor cannot be used.
#
# All else that they are made of is there already: of this tree, or installed. Of the latter only cashewd:: names are there.
set(CASHEW_CASHEWD_PARTS supervisor doctor top health dead_letters schedules handler documents settings base cashew_logging cashew_store)
set(CASHEW_CASHEWD_HOST_PARTS host host_parking host_worker handler documents base cashew_store)
list(TRANSFORM CASHEW_CASHEWD_PARTS PREPEND cashewd::)
list(TRANSFORM CASHEW_CASHEWD_HOST_PARTS PREPEND cashewd::)

function(cashew_add_programs name handlers)
	add_executable(${name})
	target_link_libraries(${name} PRIVATE cashewd::handler_flags cashewd::program ${handlers} ${CASHEW_CASHEWD_PARTS} PkgConfig::MOSQUITTO PkgConfig::MONGOC)
	add_dependencies(${name} ${name}-host)
	add_custom_command(TARGET ${name} POST_BUILD VERBATIM COMMAND ${name} --check-handlers)

	add_executable(${name}-host)
	target_link_libraries(${name}-host PRIVATE cashewd::handler_flags cashewd::host_program ${handlers} ${CASHEW_CASHEWD_HOST_PARTS})

	set_target_properties(${name} ${name}-host PROPERTIES LINKER_LANGUAGE C RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
