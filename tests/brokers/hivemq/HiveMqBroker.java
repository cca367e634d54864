import com.hivemq.embedded.EmbeddedExtension;
import com.hivemq.embedded.EmbeddedHiveMQ;
import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthInput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthOutput;
import com.hivemq.extension.sdk.api.packets.auth.DefaultAuthorizationBehaviour;
import com.hivemq.extension.sdk.api.packets.connect.ConnackReasonCode;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopOutput;
import com.hivemq.extension.sdk.api.services.Services;
import com.hivemq.extension.sdk.api.services.builder.Builders;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** HiveMqBroker.java - HiveMQ CE with cashew's tokens and users kept apart: HiveMqBroker FOLDER, which has config.xml. It ends when it is killed. */
public final class HiveMqBroker implements ExtensionMain {
	private static final class Authenticator implements SimpleAuthenticator {
		@Override
		public void onConnect(SimpleAuthInput input, SimpleAuthOutput output) {
			final ByteBuffer password = input.getConnectPacket().getPassword().orElse(ByteBuffer.allocate(0));
			final Tokens.Identity identity = Tokens.verify(StandardCharsets.UTF_8.decode(password.duplicate()).toString());
			if (identity == null || !identity.owns(input.getConnectPacket().getClientId())) {
				output.failAuthentication(ConnackReasonCode.NOT_AUTHORIZED, "bad token or client id");
				return;
			}
			output.getDefaultPermissions().add(Builders.topicPermission().topicFilter(identity.isHandler() ? "#" : identity.name() + "/#").build());
			output.getDefaultPermissions().setDefaultBehaviour(DefaultAuthorizationBehaviour.DENY);
			output.authenticateSuccessfully();
		}
	}

	@Override
	public void extensionStart(ExtensionStartInput input, ExtensionStartOutput output) {
		Services.securityRegistry().setAuthenticatorProvider(provider -> new Authenticator());
	}

	@Override
	public void extensionStop(ExtensionStopInput input, ExtensionStopOutput output) {}

	public static void main(String[] arguments) {
		final Path folder = Path.of(arguments[0]);
		final EmbeddedExtension extension =
			EmbeddedExtension.builder().withId("cashew").withName("cashew").withVersion("1").withPriority(0).withStartPriority(1000)
				.withAuthor("cashew").withExtensionMain(new HiveMqBroker()).build();
		EmbeddedHiveMQ.builder().withConfigurationFolder(folder).withDataFolder(folder.resolve("data"))
			.withExtensionsFolder(folder.resolve("extensions")).withEmbeddedExtension(extension).build().start().join();
	}
}
