# cashew_add_programs(NAME HANDLERS): cashewd and cashewd-host with that library of handlers, called NAME and NAME-host. To build NAME builds
# both.
function(cashew_add_programs name handlers)
	set(programs ${PROJECT_SOURCE_DIR}/runtime/programs)
	add_executable(${name} ${programs}/cashewd.c)
	target_link_libraries(${name} PRIVATE cashew_flags ${handlers} supervisor doctor top dead_letters handler settings base cashew_api cashew_logging
		cashew_store PkgConfig::MOSQUITTO PkgConfig::MONGOC)
	target_compile_definitions(${name} PRIVATE CASHEW_VERSION="${PROJECT_VERSION}")
	add_dependencies(${name} ${name}-host)

	add_executable(${name}-host ${programs}/cashewd_host.c)
	target_link_libraries(${name}-host PRIVATE cashew_flags ${handlers} host host_parking host_worker handler base cashew_store)

	set_target_properties(${name} ${name}-host PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
