# cashew_add_programs(NAME HANDLERS): cashewd and cashewd-host with that library of handlers, called NAME and NAME-host. To build NAME builds
# both.
function(cashew_add_programs name handlers)
	set(runtime ${PROJECT_SOURCE_DIR}/runtime)
	file(GLOB commands CONFIGURE_DEPENDS ${runtime}/cashewd_*.c)
	list(REMOVE_ITEM commands ${runtime}/cashewd_host.c)
	add_executable(${name} ${runtime}/cashewd.c ${commands} ${runtime}/configuration.c)
	target_link_libraries(${name} PRIVATE cashew_flags ${handlers} cashew_supervisor cashew_doctor cashew_top cashew_host
		PkgConfig::MOSQUITTO PkgConfig::MONGOC)
	target_compile_definitions(${name} PRIVATE CASHEW_VERSION="${PROJECT_VERSION}")
	add_dependencies(${name} ${name}-host)

	add_executable(${name}-host ${runtime}/cashewd_host.c ${runtime}/configuration.c)
	target_link_libraries(${name}-host PRIVATE cashew_flags ${handlers} cashew_host)

	set_target_properties(${name} ${name}-host PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
