import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.jgrapht.nio.Attribute;
import org.jgrapht.nio.graphml.SimpleGraphMLEventDrivenImporter;

/** Prints what JGraphT reads from a GraphML file, after it has validated it: one line for each thing, values in base64. */
public final class ReadGraph {
    public static void main(String[] arguments) {
        var importer = new SimpleGraphMLEventDrivenImporter();
        importer.addVertexConsumer(vertex -> print("node", vertex));
        importer.addVertexAttributeConsumer(
            (vertex, value) -> print("node_value", vertex.getFirst(), vertex.getSecond(), encoded(value)));
        importer.addEdgeConsumer(edge -> print("edge", edge.getFirst(), edge.getSecond()));
        importer.addEdgeAttributeConsumer((edge, value) -> print("edge_value", edge.getSecond(), encoded(value)));
        importer.importInput(new File(arguments[0]));
    }

    private static void print(String... fields) {
        System.out.println(String.join("\t", fields));
    }

    private static String encoded(Attribute value) {
        return Base64.getEncoder().encodeToString(value.getValue().getBytes(StandardCharsets.UTF_8));
    }
}
