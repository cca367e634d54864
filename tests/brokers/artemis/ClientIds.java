import io.netty.handler.codec.mqtt.MqttConnectMessage;
import io.netty.handler.codec.mqtt.MqttMessage;
import java.nio.charset.StandardCharsets;
import org.apache.activemq.artemis.core.protocol.mqtt.MQTTInterceptor;
import org.apache.activemq.artemis.spi.core.protocol.RemotingConnection;

/** ClientIds.java - closes the connection of whoever comes with a good token and a client id that is not its own; bad tokens are the security manager's. */
public final class ClientIds implements MQTTInterceptor {
	@Override
	public boolean intercept(MqttMessage packet, RemotingConnection connection) {
		if (!(packet instanceof MqttConnectMessage connect) || connect.payload().passwordInBytes() == null)
			return true;
		final Tokens.Identity identity = Tokens.verify(new String(connect.payload().passwordInBytes(), StandardCharsets.UTF_8));
		if (identity == null || identity.owns(connect.payload().clientIdentifier()))
			return true;
		connection.destroy();
		return false;
	}
}
